"""Whether the host may loop over values: on a CPU that is the quickest way, elsewhere it waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_as_elsewhere: ContextVar[bool] = ContextVar("as_elsewhere", default=False)


def is_free(tensor: Tensor) -> bool:
    """Return whether looking at this tensor's values costs nothing, or it lies where all of our kernels are untried."""
    return tensor.device.type != "cuda" and not _as_elsewhere.get()


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Have a block do on the CPU what it would do on a GPU, so that its operations can be counted there."""
    token = _as_elsewhere.set(True)
    try:
        yield
    finally:
        _as_elsewhere.reset(token)
