"""torch.compile for the part of a detector whose work depends on the images' size alone: its backbone and neck."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rgacli.engine.distributed import bare
from rgacli.errors import UsageError
from rgacli.wording import param


@HOOKS.register_module()
class CompileHook(Hook):
    """Hook that compiles the backbone and the neck when training begins.

    Names of weights stay as they are, and so do checkpoints. The first images of a size take a minute; after a second
    size, torch makes the sizes variable.
    """

    def before_train(self, runner: Runner) -> None:
        """Mark both for torch.compile, which does it when they are first called."""
        model = bare(runner.model)
        for part in (model.backbone, getattr(model, "neck", None)):
            if part is not None:
                part.compile()


def set_compiled(cfg: Config) -> None:
    """Have a config train with its backbone and neck compiled, in place.

    Raises:
        UsageError: as `require_compiler`.
    """
    require_compiler()
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), dict(type=CompileHook.__name__)]


def require_compiler() -> None:
    """Raise a UsageError unless torch can compile on this machine, which is tried on one number."""
    try:
        torch.compile(torch.neg)(torch.ones(1, device=get_device()))
    except Exception as error:  # of inductor, triton or a C++ compiler: each has its own
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UsageError(f"{param('compile', True)}: torch cannot compile on this machine: {reason}") from error
