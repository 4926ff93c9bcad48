"""How many operations some work launches, and how often the host waits for their results.

Both decide the speed on a GPU, are exact, and can be counted without one, so that tests may hold them.

An operation is a call that reaches torch's dispatcher below autograd, but for views (`OpOverload.is_view`) and
allocations without content (`empty`, …), which launch nothing. A synchronisation is an operation whose result, or its
size, the host has to know before it can go on: `item` and `bool` of a tensor, `nonzero` and what is made of it (boolean
masks as an index, `masked_select`), `unique`, `repeat_interleave` of unknown length, `bincount`, `equal`, and copies
from a device to the host. An assignment by a boolean mask counts whatever is assigned, although a single number can be
assigned without waiting.

torchvision's `nms` waits, too; it is counted by itself. Backward passes are none of it: autograd's own threads are not
seen. On a CPU tensors say of themselves that they are on a GPU, so that code which goes different ways goes the GPU's;
`cpu`, `tolist` and the like, which copy nothing there, are taken for copies to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_EMPTY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
_WAITING = (
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "bincount"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
)
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


@dataclass(frozen=True)
class Counts:
    """Operations launched, results that the host waits for, and calls of `nms`, which are operations, too."""

    ops: int
    syncs: int
    nms: int


def count(work: Callable[[], Any]) -> Counts:
    """Run some work once and count what it launches and waits for."""
    with _Host() as host, _Dispatch() as dispatch:
        work()
    return Counts(dispatch.ops, dispatch.syncs + host.syncs, dispatch.nms)


class _Dispatch(TorchDispatchMode):
    """Sees every operation below autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.ops = self.syncs = self.nms = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        result = func(*args, **kwargs)
        if not func.is_view and name not in _EMPTY:
            self.ops += 1
            self.nms += name == "nms"
            self.syncs += _waits(name, args, kwargs, result)
        return result


class _Host(TorchFunctionMode):
    """On a CPU, has tensors say that they are on a GPU, and sees what would take them from there to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        told = _TOLD.get(func)
        if told is not None and args[0].device.type == "cpu":
            return told
        self.syncs += func in _TO_THE_HOST and args[0].device.type == "cpu"
        self.syncs += func is Tensor.to and any(_is_host(each) for each in (*args[1:], kwargs.get("device")))
        return func(*map(_really, args), **{key: _really(value) for key, value in kwargs.items()})


_GPU = torch.device("cuda", 0)
_TOLD = {
    Tensor.device.__get__: _GPU,
    Tensor.is_cuda.__get__: True,
    Tensor.is_cpu.__get__: False,
}
_TO_THE_HOST = (Tensor.tolist, Tensor.cpu)


def _is_host(value: Any) -> bool:
    return value == "cpu" or (isinstance(value, torch.device) and value.type == "cpu")


def _really(value: Any) -> Any:
    """Return an argument with the CPU for the GPU that tensors said they were on, where there is none."""
    pretended = isinstance(value, torch.device) and value == _GPU and not torch.cuda.is_available()
    return torch.device("cpu") if pretended else value


def _waits(name: str, args: Any, kwargs: Any, result: Any) -> bool:
    """Return whether the host has to wait for an operation, on a GPU."""
    if name in _WAITING:
        return True
    if name in _INDEXING:
        return any(isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8) for each in args[1])
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    if name == "_to_copy":
        return args[0].device.type != "cpu" and result.device.type == "cpu"
    if name == "copy_":
        return args[1].device.type != "cpu" and args[0].device.type == "cpu" and not (args[2:] and args[2])
    return False
