"""Published-style checkpoints become model folders; what is no table of tensors is refused unread."""

import pickle
from pathlib import Path

import pytest
import torch
from places import Street, tiny_model

from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.model_store import Model, load_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import PaperCompat, dump_recipe
from vxp_training.import_weights import import_checkpoint, one_network

CPU = torch.device("cpu")


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_recipe(tiny_model()))
    return path


def network_of(stage: str):
    model = one_network(tiny_model(), stage, True)
    torch.manual_seed(1)
    return model, build_model(model).eval()


def published(stage: str, network) -> dict[str, torch.Tensor]:
    """The state dict under the outer names of the release, with inner names as mmdet3d and spconv give them."""
    if stage == "teacher":
        return {**network.camera.state_dict(), "pooling.p": network.camera.pooling.p.detach()[0]}
    blocks = ["conv_input", "conv1.0", *(f"conv{i}.{j}" for i in (2, 3) for j in range(3)), "conv_out"]
    renamed = {}
    for name, tensor in network.lidar.state_dict().items():
        if ".vfe.layers." in name:
            name = name.replace(".vfe.layers.", ".vfe.vfe_layers.0.")
        elif ".middle.layers." in name:
            _, _, _, number, kind, rest = name.split(".")
            name = f"voxel_feat_ext.middle.{blocks[int(number)]}.{0 if kind == 'conv' else 1}.{rest}"
        renamed[f"module.{name}"] = tensor
    return renamed


@pytest.mark.parametrize("stage, modality, other", [("teacher", "camera", "lidar"), ("student", "lidar", "camera")])
def test_a_published_checkpoint_becomes_a_model(tmp_path, recipe, stage, modality, other):
    model, network = network_of(stage)
    torch.save({"state_dict": published(stage, network)}, tmp_path / "a.pth")
    model_id = import_checkpoint(tmp_path / "a.pth", stage, tmp_path / "model", str(recipe))
    encoder = Encoder.load(tmp_path / "model", "cpu")
    frame = Street().frame(1)
    wanted = Encoder(Model(model, network, "x"), CPU).describe(frame, modality)
    assert (encoder.describe(frame, modality).vector == wanted.vector).all()
    assert encoder.model_id == model_id and model_id.startswith(f"tiny_{stage}-")
    with pytest.raises(BadInput):
        encoder.describe(frame, other)


def test_quirks_are_on_unless_refused(tmp_path, recipe):
    _, network = network_of("student")
    torch.save(published("student", network), tmp_path / "a.pth")
    for name, wanted in (("quirky", True), ("correct", False)):
        import_checkpoint(tmp_path / "a.pth", "student", tmp_path / name, str(recipe), paper_compat=wanted)
        compat = load_model(tmp_path / name).recipe.paper_compat
        assert set(vars(compat).values()) == {wanted}
    assert PaperCompat() == compat


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("hostile-was-here"),)


def test_only_tables_of_tensors_are_read(tmp_path, recipe, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Hostile()}, tmp_path / "hostile.pth")
    (tmp_path / "pickled.pth").write_bytes(pickle.dumps(Hostile()))
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    for name, said in (
        ("hostile", "cannot be read"),
        ("pickled", "cannot be read"),
        ("numbers", "no table of tensors"),
    ):
        with pytest.raises(ModelError, match=said):
            import_checkpoint(tmp_path / f"{name}.pth", "teacher", tmp_path / "model", str(recipe))
    with pytest.raises(ModelError, match="cannot be read"):
        import_checkpoint(tmp_path / "absent.pth", "teacher", tmp_path / "model", str(recipe))
    assert not (tmp_path / "hostile-was-here").exists() and not (tmp_path / "model").exists()


def test_another_network_is_refused(tmp_path, recipe):
    _, teacher = network_of("teacher")
    torch.save(published("teacher", teacher), tmp_path / "teacher.pth")
    with pytest.raises(ModelError, match=r"the checkpoint has 0 tensors layer weight in voxel_feat_ext.vfe"):
        import_checkpoint(tmp_path / "teacher.pth", "student", tmp_path / "model", str(recipe))
    tensors = published("teacher", teacher)
    tensors["pooling.dense_head.weight"] = torch.zeros(3, 3)
    torch.save(tensors, tmp_path / "wrong.pth")
    with pytest.raises(ModelError, match=r"pooling.dense_head.weight has shape \[3, 3\]"):
        import_checkpoint(tmp_path / "wrong.pth", "teacher", tmp_path / "model", str(recipe))
