"""Imports point one way, and what is to be light is light."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(importlib.util.find_spec("rgacli").origin).parent

# From the top; a room imports rooms of lower lines alone. `core` is the door of saved runs.
LAYERS = (
    {"cli"},
    {"api"},
    {"export", "reporting", "bench", "reproduction"},
    {"inference", "analysis", "ensembles"},
    {"evaluation"},
    {"core"},
    {"engine"},
    {"modeling", "trained"},
    {"config"},
    {"data", "method", "compat", "runs", "launch"},
    {"locks"},
    {"checksums", "errors", "files", "parent", "progress", "messages"},
    {"cores", "wording"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
LIGHT = (
    "method",
    "runs",
    "checksums",
    "errors",
    "files",
    "parent",
    "progress",
    "messages",
    "wording",
    "data",
    "cli.app",
    "config.catalogue",
    "api.runs",
    "api.dataset",
)
HEAVY = ("torch", "mmengine", "mmdet")


def modules():
    return [path for path in PACKAGE.rglob("*.py") if "configs" not in path.relative_to(PACKAGE).parts]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """The rooms that a module imports, wherever in it, for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "rgacli":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rgacli."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rgacli."))


def test_every_room_has_its_layer():
    assert {room_of(path) for path in modules()} - {"__init__", "__main__"} == set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    upward = {other for other in imported(path) if other in RANK and other != room and RANK[other] <= RANK[room]}
    assert not upward, f"{room} imports {upward}"


def test_the_order_is_kept_by_the_test_itself(tmp_path):
    """A module that imports upward is found."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    from rgacli.cli.output import say\n")
    assert list(imported(path)) == ["cli"]


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in LIGHT)])
def test_what_is_to_be_light_imports_nothing_heavy(module):
    names = [f"rgacli{module}"]
    if module == ".data":
        names = [f"rgacli.data.{path.stem}" for path in (PACKAGE / "data").glob("*.py")]
    code = (
        f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
        f"found = [name for name in {HEAVY} if name in sys.modules]; assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


OPTION = re.compile(r"(?<![\w-])--[a-z]|`rgacli [a-z]")
PIP = re.compile("pip (un)?install|--force-reinstall")


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if room_of(path) != "cli"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_nothing_below_the_command_line_speaks_of_options_or_commands(path):
    """A message marks parameters by `wording.param` and functions by `wording.function`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]
    spoken = [text for text in texts if OPTION.search(text) and not PIP.search(text)]
    assert spoken == []
