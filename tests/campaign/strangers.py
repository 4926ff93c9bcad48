"""Checkpoints that a stranger could send: each would run code if it were unpickled, and leaves a file if it did."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


class Calls:
    """An object that is unpickled by a call."""

    def __init__(self, function: Callable[..., Any] | str, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments

    def __call__(self) -> None:
        """Be callable, as pickle asks of what it is to call."""


class _Builds:
    """An object that is unpickled as an allowed one, whose state is a call's."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return HistoryBuffer, (), self.state


def _calls(mark: Path) -> dict[str, Any]:
    """Return what to call -> an object that is unpickled by calling it, which makes the file `mark`."""
    import builtins
    import functools
    import importlib
    import operator
    import os
    import subprocess

    code = f"open({str(mark)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"touch '{mark}'"),
        "subprocess.run": Calls(subprocess.run, ["touch", str(mark)]),
        "exec": Calls(builtins.exec, code),
        "eval": Calls(builtins.eval, f"open({str(mark)!r}, 'w')"),
        "open": Calls(builtins.open, str(mark), "w"),
        "getattr": Calls(Calls(builtins.getattr, Calls(importlib.import_module, "os"), "system"), f"touch '{mark}'"),
        "functools.partial": Calls(Calls(functools.partial, os.system, f"touch '{mark}'")),
        "operator.methodcaller": Calls(operator.methodcaller("touch"), mark),
        "pathlib.Path.touch": Calls(Path.touch, mark),
        "state of an allowed type": _Builds({"_max": Calls(os.system, f"touch '{mark}'")}),
        "getattr of an allowed type": Calls(builtins.getattr, HistoryBuffer, "__init__"),
        "numpy array of objects": np.array([Calls(os.system, f"touch '{mark}'")], dtype=object),
        "torch.load": Calls(torch.load, io.BytesIO(pickle.dumps(Calls(os.system, f"touch '{mark}'")))),
    }


CALLS = tuple(_calls(Path()))
"""Ways to run code while unpickling."""
FORMATS = ("zip", "legacy", "pickle 0", "pickle 5", "tar", "zip by hand")
"""Formats that torch has written, or that look like them."""
PLACES = ("state_dict", "meta", "optimizer", "message_hub", "a weight", "all of it")
"""Where in a checkpoint the object is."""


def write(path: Path, call: str, form: str, place: str, mark: Path) -> None:
    """Write a checkpoint that makes the file `mark` if it is unpickled.

    Args:
        path: Of the checkpoint.
        call: Of CALLS.
        form: Of FORMATS.
        place: Of PLACES.
        mark: Of the file.
    """
    bad = _calls(mark)[call]
    content: Any = {"meta": {"epoch": 1, "iter": 2}, "state_dict": {"a": torch.zeros(1)}, "optimizer": {}}
    if place == "all of it":
        content = bad
    elif place == "a weight":
        content["state_dict"]["backbone.conv1.weight"] = bad
    else:
        content[place] = bad
    path.parent.mkdir(parents=True, exist_ok=True)
    if form in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    elif form.startswith("pickle"):
        protocol = 2 if call == "torch.load" else int(form[-1])  # of what it loads, none below 2
        path.write_bytes(pickle.dumps(content, protocol))
    elif form == "tar":  # of torch before 0.1.10
        with tarfile.open(path, "w") as archive:
            for name in ("sys_info", "pickle", "tensors", "storages"):
                data = pickle.dumps(content)
                about = tarfile.TarInfo(name)
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content, 2))
            archive.writestr("archive/version", "3\n")
