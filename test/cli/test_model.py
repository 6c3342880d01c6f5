"""`vxp model`: what it makes, what it shows, what it refuses."""

import json

import pytest

from vxp_ros.cli.main import run


@pytest.mark.parametrize("recipe", ["vxp_lite", "vxp_view"])
def test_init_and_info_agree(tmp_path, capsys, recipe):
    folder, report = tmp_path / "model", tmp_path / "report.json"
    assert run(["model", "init", recipe, "--out", str(folder), "--json", str(report)]) == 0
    made = json.loads(report.read_text())
    assert made["model_id"] in capsys.readouterr().out
    assert run(["model", "info", str(folder), "--json", str(report)]) == 0
    shown = json.loads(report.read_text())
    assert shown["model_id"] == made["model_id"]
    assert shown["modalities"][:2] == ["camera", "lidar"] and shown["dimension"] == 256
    assert shown["trained_on"] == made["trained_on"]
    assert shown["parameters"]["camera"] > 100_000 and shown["preprocessing"]["normalise"] is True
    assert made["model_id"] in capsys.readouterr().out


def test_seed_decides_the_weights(tmp_path):
    reports = []
    for seed in ("1", "1", "2"):
        report = tmp_path / f"{len(reports)}.json"
        arguments = ["--out", str(tmp_path / f"model{len(reports)}"), "--seed", seed, "--json", str(report)]
        assert run(["model", "init", "vxp_lite", *arguments]) == 0
        reports.append(json.loads(report.read_text())["model_id"])
    assert reports[0] == reports[1] != reports[2]


@pytest.mark.parametrize("seed", ["-1", str(2**63), str(2**64)])
def test_seeds_that_torch_does_not_take(tmp_path, capsys, seed):
    assert run(["model", "init", "vxp_lite", "--out", str(tmp_path / "m"), "--seed", seed]) == 1
    assert "--seed" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_refusals_are_one_sentence_and_exit_code_1(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    (tmp_path / "bad.yaml").write_text("name: bad\ndimensoin: 3\n")
    for arguments, words in [
        (["init", "vxp_lite", "--out", str(tmp_path / "there")], "exists already"),
        (["init", "vxp_tiny", "--out", str(tmp_path / "new")], "lcpr, vxp, vxp_lite"),
        (["init", str(tmp_path / "bad.yaml"), "--out", str(tmp_path / "new")], "did you mean dimension"),
        (["info", str(tmp_path / "there")], "holds no model.yaml"),
    ]:
        assert run(["model", *arguments]) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "new").exists()


def test_a_model_of_several_cameras_is_shown(tmp_path, capsys):
    text = "{name: two, architecture: einet, modalities: [fused], image: {backbone: resnet18, size: [64, 96]}, "
    (tmp_path / "two.yaml").write_text(text + "rig: {cameras: 2, cells: [16, 48]}}")
    assert run(["model", "init", str(tmp_path / "two.yaml"), "--out", str(tmp_path / "m")]) == 0
    assert run(["model", "info", str(tmp_path / "m"), "--json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["parameters"] == {"fused": 27_384_384}
    assert "16 x 48, 5 channels, 2 cameras" in capsys.readouterr().out
