"""What comes from strangers runs no code, and what we hand on is literal.

Checkpoints whose pickles would run code are given to every command that reads one. Configs are Python: `safe` reads
them without running them. What is exported is read by others, so that it has to be plain data as well.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaign import stranger_configs, strangers
from tests.campaign.ended import require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Trial

_IMAGE = "image.jpg"
_CPU = ("--device", "cpu")


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    cases = list(itertools.product(strangers.CALLS, strangers.FORMATS, strangers.PLACES))
    stage.random.shuffle(cases)
    for entrance, (call, form, place) in zip(
        itertools.cycle(_ENTRANCES), cases[: stage.pick(300, 2 * len(_ENTRANCES))], strict=False
    ):
        yield Trial(
            "a checkpoint whose pickle runs code",
            f"{entrance}: {call} in {place}, {form}",
            _Pickled(stage, entrance, call, form, place),
        )
    for entrance, attack in itertools.product(_SAFELY, (*stranger_configs.ATTACKS, None)):
        yield Trial(
            "a config that is to run nothing", f"{entrance}: {attack or 'as it is'}", _Safe(stage, entrance, attack)
        )
    for name, arguments in _EXPORTS.items():
        yield Trial("an export is plain data", name, _Exported(stage, arguments))
    yield Trial("dependencies with known vulnerabilities", "pip-audit", _audit)


def _weights_as(*arguments: str) -> Callable[[Path, Path], tuple[object, ...]]:
    """Return what gives a command weights of a file, and the config of a run."""
    return lambda checkpoint, run: (*arguments, checkpoint, "--config", run / "config.py")


def _within(run: Path, checkpoint: Path, name: str) -> Path:
    shutil.copy(checkpoint, run / "checkpoints" / name)
    return run


def _resume(checkpoint: Path, run: Path) -> tuple[object, ...]:
    return ("train", "--resume", "--work-dir", _within(run, checkpoint, "epoch_2.pth"))


def _best(checkpoint: Path, run: Path) -> tuple[object, ...]:
    (run / "checkpoints/epoch_2.pth").unlink()
    (run / "logs/last_checkpoint").unlink(missing_ok=True)
    return ("train", "--resume", "--work-dir", _within(run, checkpoint, "best.pth"))


_ENTRANCES: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "eval": _weights_as("eval", "--checkpoint"),
    "eval RUN": lambda checkpoint, run: ("eval", _within(run, checkpoint, "epoch_2.pth")),
    "eval --which best": lambda checkpoint, run: ("eval", _within(run, checkpoint, "best.pth"), "--which", "best"),
    "train --weights": lambda checkpoint, run: ("train", run / "config.py", "--weights", checkpoint, "--epochs", "1"),
    "train --resume": _resume,
    "train --resume, best.pth": _best,
    "train --set load_from": lambda checkpoint, run: ("train", run / "config.py", "--set", f"load_from={checkpoint}"),
    "train --set init_cfg": lambda checkpoint, run: (
        *("train", run / "config.py", "--set"),
        f"model.backbone.init_cfg={{'type': 'Pretrained', 'checkpoint': '{checkpoint}'}}",
    ),
    "ensemble": _weights_as("ensemble", "--checkpoint"),
    "predict": _weights_as("predict", _IMAGE, "--checkpoint"),
    "export fold": _weights_as("export", "fold", "--checkpoint"),
    "export head": _weights_as("export", "head", "--head", "0", "--checkpoint"),
    "export onnx": _weights_as("export", "onnx", "--checkpoint"),
    "analyze gt-bins": _weights_as("analyze", "gt-bins", "--checkpoint"),
    "analyze scores": _weights_as("analyze", "scores", "--checkpoint"),
    "analyze proposals": _weights_as("analyze", "proposals", "--checkpoint"),
}
_EXPORTS = {"fold": ("export", "fold"), "head 1:1": ("export", "head", "--head", "0")}


class _Pickled:
    """Gives a command a checkpoint that would run code: it has to refuse it, and to have run nothing.

    A training that is resumed may take it for damaged, and go on from the one before.
    """

    def __init__(self, stage: Stage, entrance: str, call: str, form: str, place: str) -> None:
        self.stage, self.entrance, self.case = stage, entrance, (call, form, place)

    def __call__(self, folder: Path) -> None:
        mark, checkpoint, run = folder / "mark", folder / "stranger.pth", self.stage.copy_of_run(folder)
        shutil.copy(next((self.stage.dataset / "images/test").iterdir()), folder / _IMAGE)
        strangers.write(checkpoint, *self.case, mark)
        mark.unlink(missing_ok=True)  # numpy and torch call some things as they save
        arguments = (*_ENTRANCES[self.entrance](checkpoint, run), *(() if "export" in self.entrance else _CPU))
        resumed = (0,) if self.entrance == "train --resume" else ()
        ended = require_well(self.stage.rgacli(*arguments, cwd=folder), *resumed, 1, 2)
        assert not mark.exists(), f"code ran: {ended.stderr}"
        told = ended.errors[0] if ended.code else ended.stderr.partition(" is damaged")[0]
        assert ".pth" in told, f"the file is not named: {ended.stderr}"


_SAFELY = {"eval": ("eval",), "predict": ("predict", _IMAGE, "--run")}


class _Safe:
    """Gives a command a run whose config would run something: it has to refuse it, and to have run nothing.

    The config as a training left it is taken.
    """

    def __init__(self, stage: Stage, entrance: str, attack: str | None) -> None:
        self.stage, self.entrance, self.attack = stage, entrance, attack

    def __call__(self, folder: Path) -> None:
        mark, run = folder / "mark", self.stage.copy_of_run(folder)
        shutil.copy(next((self.stage.dataset / "images/test").iterdir()), folder / _IMAGE)
        if self.attack:
            stranger_configs.change(run / "config.py", self.attack, folder, mark)
        ended = self.stage.rgacli(*_SAFELY[self.entrance], run, "--safe", *_CPU, cwd=folder)
        require_well(ended, 2 if self.attack else 0)
        assert not mark.exists(), f"it ran: {ended.stderr}"
        assert not self.attack or "is refused by --safe" in ended.errors[0], ended.stderr


class _Exported:
    """Exports a run, and reads config and weights as a stranger would: as data."""

    def __init__(self, stage: Stage, arguments: tuple[str, ...]) -> None:
        self.stage, self.arguments = stage, arguments

    def __call__(self, folder: Path) -> None:
        import torch

        require_well(self.stage.rgacli(*self.arguments, self.stage.run, "--out", "out", cwd=folder), 0)
        for statement in ast.parse((folder / "out/config.py").read_text()).body:
            assert isinstance(statement, ast.Assign), ast.unparse(statement)
            _require_literal(statement.value)
        torch.load(folder / "out/model.pth", weights_only=True)


def _require_literal(node: ast.expr) -> None:
    for part in ast.walk(node):
        called = part.func.id if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) else ""
        assert not isinstance(part, (ast.Call, ast.Lambda, ast.Attribute)) or called == "dict", ast.unparse(part)


def dependencies() -> dict[str, str]:
    """Return package -> version of all that an installation of rgacli needs, however far down."""
    found: dict[str, str] = {}
    waiting = ["rgacli"]
    while waiting:
        name = waiting.pop()
        try:
            about = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed elsewhere: on another system, or by another Python
        if about.metadata["Name"] not in found:
            found[about.metadata["Name"]] = about.version
            waiting += [re.match(r"[\w.-]+", need)[0] for need in about.requires or () if "extra ==" not in need]
    return dict(sorted(found.items()))


def _audit(folder: Path) -> dict[str, float]:
    """Ask pip-audit of every dependency; where it has no data, or is not installed, nothing is known."""
    if not importlib.util.find_spec("pip_audit"):
        raise NotHere("pip-audit is not installed")
    pinned = [f"{name}=={version}" for name, version in dependencies().items() if name != "rgacli"]
    (folder / "requirements.txt").write_text("\n".join(pinned))
    audit = ["-m", "pip_audit", "--requirement", "requirements.txt", "--no-deps", "--disable-pip", "--format", "json"]
    done = subprocess.run(
        [sys.executable, *audit, "--progress-spinner", "off"], cwd=folder, capture_output=True, text=True, timeout=600
    )
    if not done.stdout.strip():
        raise NotHere(f"pip-audit has no data here ({done.stderr.strip().splitlines()[-1][:200]})")
    packages = json.loads(done.stdout)["dependencies"]
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        raise NotHere(f"pip-audit has no data here: none of {len(packages)} packages could be looked up")
    known = {package["name"]: [found["id"] for found in package["vulns"]] for package in audited if package["vulns"]}
    assert not known, f"known vulnerabilities: {known}"
    return {"packages": len(audited)}
