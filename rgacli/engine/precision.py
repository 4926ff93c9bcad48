"""Mixed precision: mmengine's AMP wrapper, on a CPU as well, in fp16 with a loss scaler or in bf16 without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from rgacli.errors import UsageError
from rgacli.wording import param

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(AmpOptimWrapper):
    """mmengine's AmpOptimWrapper on torch's device-independent autocast and scaler.

    Args:
        dtype: "float16" or "bfloat16". Only fp16's range is so small that gradients need a loss scaler.
        loss_scale: "dynamic", a constant scale, or arguments of torch's GradScaler.
        **kwargs: As for OptimWrapper.
    """

    def __init__(
        self, dtype: str = "float16", loss_scale: str | float | Mapping[str, Any] = "dynamic", **kwargs: Any
    ) -> None:
        OptimWrapper.__init__(self, **kwargs)  # AmpOptimWrapper's own insists on a GPU
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = loss_scale if isinstance(loss_scale, float) else None
        if isinstance(loss_scale, float):
            loss_scale = dict(init_scale=loss_scale)
        scaling = {} if loss_scale == "dynamic" else dict(loss_scale)
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=dtype == "float16", **scaling)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, within OptimWrapper's own context (no gradient synchronisation between optimizer steps)."""
        with OptimWrapper.optim_context(self, model), torch.autocast(get_device(), self.cast_dtype):
            yield


def set_mixed_precision(cfg: Config, dtype: str = "fp16") -> None:
    """Have a config train with automatic mixed precision, in place; a loss scale of the config's own stays.

    Args:
        cfg: A training config.
        dtype: "fp16" or "bf16".

    Raises:
        UsageError: the GPU cannot calculate in bf16.
    """
    if dtype == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        raise UsageError(f"{param('amp_dtype', 'bf16')}: {torch.cuda.get_device_name()} has no bf16; take fp16.")
    cfg.optim_wrapper.type = MixedPrecisionOptimWrapper.__name__
    cfg.optim_wrapper.dtype = DTYPES[dtype]
