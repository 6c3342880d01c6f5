"""The command line's edges: quick help, exit codes, one sentence per error, commands of other packages."""

import json
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer

from vxp_ros import __version__
from vxp_ros.cli import main
from vxp_ros.cli.main import run, sentence
from vxp_ros.cli.output import print_table
from vxp_ros.core.errors import MapError


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys; from vxp_ros.cli.main import run; code = run(['--help']);"
        "heavy = {'torch', 'cv2', 'faiss', 'numpy', 'rclpy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imports {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("map", "query", "doctor", "demo", "bag", "model"):
        assert command in done.stdout


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vxp_ros {__version__}"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["map", "build"], ["query", "a", "b", "--model", "m", "--query", "x"]]
)
def test_wrong_usage_fails_with_1_not_with_the_2_of_partial(arguments, capsys):
    assert run(arguments) == 1
    assert "Usage" in capsys.readouterr().err


def test_an_error_is_one_sentence(capsys, tmp_path):
    assert run(["map", "check", str(tmp_path / "nowhere")]) == 1
    errors = capsys.readouterr().err
    assert "nowhere" in errors
    assert len(errors.strip().splitlines()) == 1
    assert "Traceback" not in errors


def test_debug_shows_the_traceback(capsys, tmp_path):
    assert run(["--debug", "map", "check", str(tmp_path / "nowhere")]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_sentences():
    assert sentence(MapError("no such map")) == "no such map"
    assert sentence(FileNotFoundError(2, "No such file or directory", "x.yaml")) == "x.yaml: No such file or directory"
    assert sentence(FileNotFoundError("config/ not found")) == "config/ not found"


@pytest.mark.parametrize(
    ("module", "package", "fix"),
    [
        ("cv2", "opencv-python-headless", "pip install vxp_ros"),
        ("yaml", "pyyaml", "pip install vxp_ros"),
        ("faiss", "faiss-cpu", "pip install 'vxp_ros[cpu]' (or [cuda])"),
        ("matplotlib.pyplot", "matplotlib", "pip install 'vxp_ros[demo]'"),
        ("vxp_stranger", "vxp_stranger", "pip install vxp_stranger"),
    ],
)
def test_a_missing_module_is_named_as_pip_knows_it(module, package, fix):
    text = sentence(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert f"the Python package {package} is missing" in text
    assert text.endswith(fix)


def test_what_ros_brings_is_not_looked_for_on_pypi():
    for module in ("rclpy", "vxp_ros.msg"):
        text = sentence(ModuleNotFoundError("", name=module))
        assert f"the module {module} is missing" in text and "source ROS 2" in text and "pip" not in text


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "vxp: interrupted"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_unwinds_so_that_temporary_files_go(tmp_path, number, code, words):
    program = f"""
import signal, tempfile, time, types
from vxp_ros.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells make background jobs ignore it
def wait():
    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):
        print("waiting", flush=True)
        time.sleep(60)
main.plugins = lambda: [types.SimpleNamespace(name="wait", load=lambda: wait, dist=None, value="here")]
import sys
sys.argv[1:] = ["wait"]
main.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "waiting\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert errors.strip() == words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[/b]", "[bold]town[/bold]", ":smile:"])
def test_brackets_in_the_data_are_data(capsys, text):
    print_table(text, ["", text], [["frame", text]])
    assert capsys.readouterr().out.count(text) == 3


def test_brackets_in_arguments_are_no_markup(capsys):
    assert run(["[/b]"]) == 1
    assert "[/b]" in capsys.readouterr().err
    assert run(["map", "info", "[/b]"]) == 1
    assert "[/b]" in capsys.readouterr().err


def test_a_json_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file" / "r.json"):
        assert run(["map", "info", "no_map", "--json", str(path)]) == 1
        assert str(tmp_path) in capsys.readouterr().err  # and nothing about the map
    assert run(["map", "info", "no_map", "--json", str(tmp_path / "new" / "r.json")]) == 1
    assert "no_map" in capsys.readouterr().err


def test_a_json_file_in_the_users_home(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(["model", "info", "vxp_view", "--json=~/results/r.json"]) == 0
    assert json.loads((tmp_path / "results" / "r.json").read_text())
    assert not (tmp_path / "~").exists()


def hello() -> None:
    """A command of another package."""
    print("hello from elsewhere")


group = typer.Typer()


@group.command("inner")
def inner() -> None:
    raise typer.Exit(2)


@group.command("other")
def other() -> None:
    """A second one, so that typer keeps the group."""


number = 7


def plug_in(monkeypatch, **named: str):
    """Pretend that packages with these entry points are installed."""
    entries = [EntryPoint(name, value, "vxp.commands") for name, value in named.items()]
    monkeypatch.setattr(main, "plugins", lambda: entries)
    monkeypatch.setitem(sys.modules, "vxp_test_plugin", sys.modules[__name__])


def outdated() -> None:
    raise ImportError("Numba needs NumPy 2.2 or less. Got NumPy 2.9.")


def test_packages_that_do_not_fit_each_other_are_told_in_a_sentence(monkeypatch, capsys):
    plug_in(monkeypatch, outdated="vxp_test_plugin:outdated")
    assert run(["outdated"]) == 1
    assert capsys.readouterr().err == "vxp: Numba needs NumPy 2.2 or less. Got NumPy 2.9.\n"


def test_functions_and_apps_of_packages_become_commands(monkeypatch, capsys):
    plug_in(monkeypatch, hello="vxp_test_plugin:hello", group="vxp_test_plugin:group")
    assert run(["hello"]) == 0
    assert "hello from elsewhere" in capsys.readouterr().out
    assert run(["group", "inner"]) == 2


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("lost", "vxp_no_such_package:app", "ModuleNotFoundError"),
        ("torn", "vxp_test_plugin:missing", "AttributeError"),
        ("odd", "vxp_test_plugin:number", "no typer app"),
        ("demo", "vxp_test_plugin:hello", "the name is taken"),
        ("map", "vxp_test_plugin:hello", "the name is taken"),
    ],
)
def test_a_broken_plug_in_costs_one_warning(monkeypatch, caplog, capsys, name, value, reason):
    plug_in(monkeypatch, **{name: value})
    assert run(["--version"]) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert reason in caplog.text
    assert name in caplog.text


def install(folder, entry_points: str | None):
    """What pip or colcon leave in a folder of packages."""
    about = folder / "vxp_ros-9.9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vxp_ros\nVersion: 9.9\n")
    if entry_points:
        (about / "entry_points.txt").write_text(f"[vxp.commands]\n{entry_points}\n")
    return str(folder)


def test_a_plug_in_is_found_behind_another_package_of_the_same_name(monkeypatch, tmp_path):
    """colcon's install folder comes first on the path, and holds a vxp_ros without entry points: our messages."""
    folders = [install(tmp_path / "colcon", None), install(tmp_path / "pip", "late = pip:app"),
               install(tmp_path / "again", "late = pip:app\nother = pip:other")]  # fmt: skip
    monkeypatch.setattr(sys, "path", folders)
    assert [(entry.name, entry.value) for entry in main.plugins()] == [("late", "pip:app"), ("other", "pip:other")]
