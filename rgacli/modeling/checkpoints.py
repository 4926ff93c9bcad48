"""Reading checkpoints without running code from them.

torch loads with `weights_only=True`; mmengine's own checkpoints need a few harmless types beyond that, which
`allow_mmengine_metadata` names once for the whole process.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import nn

from rgacli.checksums import spoilt_member
from rgacli.errors import UsageError
from rgacli.wording import some


class DamagedCheckpoint(UsageError):
    """A checkpoint that is not what was once written, or none at all."""


def allow_mmengine_metadata() -> None:
    """Allow mmengine's message hub (smoothed scalars) to be loaded with `weights_only=True`."""
    multiarray = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray
    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype, (_statistic, "builtins.getattr")]
    for module in ("numpy._core.multiarray", "numpy.core.multiarray"):  # numpy 2's name and numpy 1's
        allowed += [(multiarray._reconstruct, f"{module}._reconstruct"), (multiarray.scalar, f"{module}.scalar")]
    allowed += [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    torch.serialization.add_safe_globals(allowed)


def _statistic(owner: type, name: str) -> Any:
    """Stand in for `getattr` in a pickled HistoryBuffer: return one of its statistics, and nothing else."""
    if owner is not HistoryBuffer or name not in ("max", "min", "mean", "current"):
        raise pickle.UnpicklingError(f"getattr of {name!r} is not allowed")
    return getattr(owner, name)


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return a checkpoint's content, on the CPU, once it is seen to be what was written.

    Raises:
        DamagedCheckpoint: the file is damaged or no checkpoint.
        UsageError: it is missing, or holds a pickle that would run code, or weights that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"checkpoint {path} does not exist.")
    _require_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported GLOBAL" in str(error) or "Unsupported global" in str(error) or "not allowed" in str(error):
            raise UsageError(
                f"checkpoint {path} is refused: it holds Python objects that would run code when loaded. "
                "Save it again with tensors only (torch.save(model.state_dict(), FILE))."
            ) from error
        raise _unreadable(path) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch's unpickler trips over foreign bytes in many ways
        raise _unreadable(path) from error
    if not isinstance(content, dict):
        raise UsageError(f"checkpoint {path} holds a {type(content).__name__}, not a state dict.")
    if flaw := _flaw(state_dict(content)):
        raise UsageError(f"checkpoint {path} cannot be used: {flaw}.")
    return content


def _require_whole(path: Path) -> None:
    try:
        spoilt = spoilt_member(path)
    except zipfile.BadZipFile as error:
        raise _unreadable(path) from error
    if spoilt:
        raise DamagedCheckpoint(
            f"checkpoint {path} is damaged: {spoilt.partition('/')[2] or spoilt} in it is not what was written, by its "
            "checksum. Take an earlier checkpoint, or copy this one again from where it is whole."
        )


def _unreadable(path: Path) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"checkpoint {path} is damaged or is no torch checkpoint.")


def _flaw(weights: Any) -> str | None:
    """Say what keeps weights from being loaded or from detecting anything; None where nothing does."""
    if not isinstance(weights, dict):
        return f"its state_dict is a {type(weights).__name__}"
    for name, value in weights.items():
        if not isinstance(name, str):
            return f"a weight is named {name!r}, which is no text"
        if isinstance(value, torch.Tensor):
            if value.is_meta or value.layout is not torch.strided or value.is_complex():
                return f"{name} does not hold its numbers (meta, sparse or complex)"
            if value.is_floating_point() and value.isnan().any():
                return f"{name} holds what is no number (NaN), as trainings that diverged leave it"
    return None


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load a checkpoint's weights into `model`, every one of them.

    Raises:
        UsageError: as `read_checkpoint`, or the weights are another model's.
    """
    weights = state_dict(read_checkpoint(path))
    for misfit in misfits(model.state_dict(), weights):
        raise UsageError(f"checkpoint {path} does not fit the config: it {misfit}.")
    model.load_state_dict(weights)


def state_dict(content: dict[str, Any]) -> dict[str, Any]:
    """Return the weights in a checkpoint's content, which may be nothing but weights."""
    return content.get("state_dict", content)


def misfits(own: Mapping[str, Any], weights: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what `weights` differ from a model's `own`: "lacks neck.a, neck.b and 3 more"."""
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    other_shape = [
        f"{key} {_shape(weights[key])} for {_shape(own[key])}"
        for key in own
        if key in weights and _shape(weights[key]) != _shape(own[key])
    ]
    for what, keys in (("lacks", missing), ("has in excess", unexpected), ("has in other shapes", other_shape)):
        if keys:
            yield f"{what} {some(keys, 2)}"


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
