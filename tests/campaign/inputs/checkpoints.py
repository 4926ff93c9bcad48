"""Checkpoints: damaged, of other models, without numbers, and such as would run code."""

from __future__ import annotations

import io
import os
import pickle
import random as chance
import subprocess
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import MARKER, Case
from tests.campaign.inputs.materials import Materials

RESUME = ("train", "--resume", "--name", "base", "--device", "cpu")


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    kinds = (_of_bytes, _of_our_own, _of_code, _of_content)
    return random.choices(kinds, (4, 3, 5, 6))[0](materials, random, folder)


def _command(materials: Materials, random: Random, file: Path) -> tuple[object, ...]:
    config = materials.run / "config.py"
    named = ("--checkpoint", file, "--config", config)
    image = materials.dataset / "images/val/000001.jpg"
    return random.choice(
        [
            ("eval", *named, "--device", "cpu"),
            ("predict", image, *named, "--out", "out", "--device", "cpu"),
            ("export", "fold", *named, "--out", "out"),
            ("export", "head", "--head", "0", *named, "--out", "out"),
            (*materials.stage.training(1), "--weights", file),
            (*materials.stage.training(1), "--set", f"load_from={file}"),
            ("analyze", "gt-bins", *named, "--device", "cpu"),
        ]
    )


def _last(run: Path) -> Path:
    return max((run / "checkpoints").glob("epoch_*.pth"))


def _of_bytes(materials: Materials, random: Random, folder: Path) -> Case:
    """A file alone, without whatever lies beside it in its run."""
    content = _last(materials.run).read_bytes()
    ways: dict[str, Callable[[], bytes]] = {
        "cut short": lambda: mutations.cut(random, content),
        "cut near its end": lambda: content[: -random.randrange(1, 200)],
        "empty": lambda: b"",
        "a text": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 100\n",
        "HTML": lambda: b"<!DOCTYPE html><html></html>",
        "chance bytes": lambda: random.randbytes(5000),
        "NULs": lambda: bytes(5000),
        "bits flipped in its directory": lambda: content[:-2000] + mutations.flipped(random, content[-2000:], 4),
        "bits flipped in its first KB": lambda: mutations.flipped(random, content[:1000], 3) + content[1000:],
        "a hole": lambda: content[:3000] + bytes(4096) + content[7096:],
        "a zip without a checkpoint": lambda: _zipped({"hello.txt": b"hello"}),
        "a zip bomb": lambda: _zipped({"archive/data.pkl": bytes(200_000_000), "archive/version": b"3\n"}),
        "a name of a path": lambda: _zipped({"../../evil/data.pkl": b"\x80\x02}q\x00."}),
        "a pickle of nothing": lambda: _zipped({"archive/data.pkl": b"", "archive/version": b"3\n"}),
        "a pickle without end": lambda: _zipped(
            {"archive/data.pkl": b"\x80\x02" + b"(" * 100_000, "archive/version": b"3"}
        ),
    }
    what = random.choice(list(ways))
    file = folder / "model.pth"
    file.write_bytes(ways[what]())
    return Case(what, _command(materials, random, file), wrong="bits" not in what and what != "a hole")


def _of_our_own(materials: Materials, random: Random, folder: Path) -> Case:
    """A checkpoint in its run, damaged as disks do it: that has to be seen, wherever the damage is."""
    run = materials.interrupted(folder)
    file = _last(run)
    content = file.read_bytes()
    if random.random() < 0.7:
        what, changed = "a bit flipped in our own", mutations.flipped(random, content)
    else:
        place = random.randrange(0, len(content) - 600)
        what, changed = "a sector lost in our own", content[:place] + bytes(512) + content[place + 512 :]
        changed = changed if changed != content else mutations.flipped(random, content)
    file.write_bytes(changed)
    command = random.choice(
        [
            ("eval", "base", "--device", "cpu"),
            ("predict", materials.dataset / "images/val/000001.jpg", "--run", "base", "--device", "cpu"),
            ("export", "fold", "base"),
            RESUME,
            ("ensemble", "base", "--device", "cpu"),
        ]
    )
    return Case(what, command, wrong=True)


class _Calling:
    """Unpickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def _of_code(materials: Materials, random: Random, folder: Path) -> Case:
    """A pickle that writes a file when it is loaded, in each form that torch reads."""
    import torch

    marker = str(folder / MARKER)
    code = f"open({marker!r}, 'w').close()"
    calls = {
        "os.system": _Calling(os.system, f"touch {marker}"),
        "eval": _Calling(eval, code),
        "exec": _Calling(exec, code),
        "open": _Calling(open, marker, "w"),
        "subprocess": _Calling(subprocess.call, ["touch", marker]),
        "os.mkdir": _Calling(os.mkdir, marker),
        "getattr": _Calling(getattr, _Calling(__import__, "os"), "system"),
        "nested pickles": _Calling(pickle.loads, pickle.dumps(_Calling(os.system, f"touch {marker}"))),
        "runpy": _Calling(__import__("runpy").run_path, str(_script(folder, code))),
        "torch.load": _Calling(torch.load, str(_script(folder, code))),
        "numpy.load": _Calling(__import__("numpy").load, str(_script(folder, code))),
        "random": _Calling(chance.seed, 0),
    }
    if random.random() < 0.2:
        return _of_code_as_text(materials, random, folder, code)
    name = random.choice(list(calls))
    content: Any = calls[name]
    if random.random() < 0.7:  # beside weights, as somebody would hide it
        weights = torch.load(_last(materials.run), map_location="cpu", weights_only=False)["state_dict"]
        content = {"state_dict": OrderedDict(weights), "meta": {"x": calls[name]}}
    form = random.choice(["zip", "legacy", "bare", "protocol 5", "tar", "npy"])
    file = folder / "model.pth"
    if form == "bare":
        file.write_bytes(pickle.dumps(content if content is calls[name] else {"x": calls[name]}))
    elif form == "protocol 5":
        torch.save(content, file, pickle_protocol=5)
    elif form == "tar":
        with tarfile.open(file, "w") as archive:
            dumped = pickle.dumps(calls[name])
            for member in ("sys_info", "pickle", "storages", "tensors"):
                info = tarfile.TarInfo(member)
                info.size = len(dumped)
                archive.addfile(info, io.BytesIO(dumped))
    elif form == "npy":
        import numpy as np

        with file.open("wb") as target:
            np.save(target, np.array([calls[name]], dtype=object), allow_pickle=True)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    if random.random() < 0.3:  # where a training would go on from
        run = materials.interrupted(folder)
        file.replace(_last(run))
        arguments = RESUME
        return Case(f"{name} in a {form}, to resume from", arguments, wrong=True)
    return Case(f"{name} in a {form}", _command(materials, random, file), wrong=True)


def _of_code_as_text(materials: Materials, random: Random, folder: Path, code: str) -> Case:
    """A sound checkpoint whose metadata are Python, which some toolboxes run when a training goes on from it."""
    import torch

    content = torch.load(_last(materials.run), map_location="cpu", weights_only=False)
    key = random.choice(["config", "config", "cfg"])
    content["meta"][key] = f"{code}\n{content['meta'].get('cfg', '')}"
    run = materials.interrupted(folder)
    torch.save(content, _last(run))
    return Case(f"Python as meta.{key}", random.choice([RESUME, RESUME, _command(materials, random, _last(run))]))


def _script(folder: Path, code: str) -> Path:
    file = folder / "evil.py"
    file.write_text(code)
    return file


def _of_content(materials: Materials, random: Random, folder: Path) -> Case:
    """A sound file with other content than the config asks for."""
    import torch

    content = torch.load(_last(materials.run), map_location="cpu", weights_only=False)
    weights = content["state_dict"]
    key = random.choice([key for key in weights if weights[key].ndim])
    tensor = weights[key]
    odd: dict[str, Any] = {
        "lacks a key": None,
        "a key too many": None,
        "another shape": torch.zeros(3, 5),
        "no dimension": torch.tensor(1.0),
        "an empty tensor": torch.zeros(0),
        "a text for a tensor": "x",
        "null for a tensor": None,
        "a list for a tensor": [1.0, 2.0],
        "NaN": torch.full_like(tensor, float("nan")),
        "one NaN": _with(tensor, float("nan")),
        "infinity": _with(tensor, float("inf")),
        "whole numbers": tensor.to(torch.int64),
        "complex numbers": tensor.to(torch.complex64),
        "halves": tensor.half(),
        "doubles": tensor.double(),
        "booleans": tensor.bool(),
        "bfloat16": tensor.bfloat16(),
        "sparse": tensor.to_sparse(),
        "on meta": tensor.to("meta"),
        "a view of one number": torch.zeros(1).expand(tensor.shape),
        "a parameter": torch.nn.Parameter(tensor),
    }
    whole: dict[str, Any] = {
        "a list": [1, 2],
        "a tensor": torch.zeros(3),
        "a number": 3,
        "null": None,
        "an empty dict": {},
        "a state_dict of null": {"state_dict": None},
        "a state_dict of a list": {"state_dict": [1]},
        "a state_dict that is empty": {"state_dict": {}},
        "keys that are numbers": {1: torch.zeros(2), 2: torch.zeros(3)},
        "weights alone": weights,
        "without optimizer": {key: value for key, value in content.items() if key != "optimizer"},
        "a meta of null": {**content, "meta": None},
        "a meta that is empty": {**content, "meta": {}},
        "an epoch of a text": {**content, "meta": {**content.get("meta", {}), "epoch": "x"}},
        "a negative epoch": {**content, "meta": {**content.get("meta", {}), "epoch": -3, "iter": -7}},
        "an optimizer of null": {**content, "optimizer": None},
        "an optimizer of another": {**content, "optimizer": {"state": {}, "param_groups": []}},
        "schedulers of null": {**content, "param_schedulers": None},
        "schedulers that are none": {**content, "param_schedulers": []},
        "a message hub of null": {**content, "message_hub": None},
        "a message hub that is empty": {**content, "message_hub": {}},
    }
    what = random.choice([*odd, *whole])
    if what in odd:
        if what == "lacks a key":
            del weights[key]
        elif what == "a key too many":
            weights["evil.weight"] = torch.zeros(2)
        else:
            weights[key] = odd[what]
        content["state_dict"] = weights
    else:
        content = whole[what]
    file = folder / "model.pth"
    torch.save(content, file)
    resumed = random.random() < 0.3
    wrong = what not in _FINE and what not in _ONLY_TO_RESUME
    if resumed:
        run = materials.interrupted(folder)
        file.replace(_last(run))
        arguments: tuple[object, ...] = RESUME
        return Case(f"{what}, to resume from", arguments, wrong=wrong and what != "an optimizer of another")
    command = _command(materials, random, file)
    return Case(what, command, wrong=wrong and command[0] != "train")


_FINE = (
    *("whole numbers", "halves", "doubles", "booleans", "bfloat16", "a parameter", "a view of one number"),
    *("weights alone", "sparse", "complex numbers", "infinity"),
)
_ONLY_TO_RESUME = (
    *("without optimizer", "a meta of null", "a meta that is empty", "an epoch of a text", "a negative epoch"),
    *("an optimizer of null", "an optimizer of another", "schedulers of null", "schedulers that are none"),
    *("a message hub of null", "a message hub that is empty"),
)


def _with(tensor: Any, value: float) -> Any:
    changed = tensor.contiguous().clone()
    changed.view(-1)[0] = value
    return changed


def _zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()
