"""Building a detector by its config."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from rgacli.config.files import BUILD_ERRORS, cannot_build
from rgacli.errors import UsageError
from rgacli.modeling.checkpoints import load_weights
from rgacli.modeling.fusing import fuse


def build_detector(
    cfg: Config, checkpoint: Path | None = None, device: str | None = None, *, fused: bool = False
) -> nn.Module:
    """Return the config's detector in eval mode; freshly initialised without a checkpoint.

    Args:
        cfg: Its config.
        checkpoint: Its weights.
        device: As torch names it; mmengine's choice (CUDA where there is one) without.
        fused: For detecting alone: norm layers become part of convolutions, where that is known to be the same.

    Raises:
        UsageError: the config makes no detector, the checkpoint cannot be used, or there is no such device.
    """
    MMLogger.get_current_instance().setLevel("WARNING")  # else it lists how each weight was initialised
    init_default_scope(cfg.get("default_scope", "mmdet"))
    model_cfg = copy.deepcopy(cfg.model)
    if checkpoint:
        model_cfg.backbone.init_cfg = None  # the checkpoint holds the backbone: nothing to download
    try:
        model = MODELS.build(model_cfg)
    except BUILD_ERRORS as error:
        raise cannot_build(error) from error
    if checkpoint:
        load_weights(model, checkpoint)
    else:
        model.init_weights()
    try:
        model = model.to(device or get_device()).eval()
        return fuse(model) if fused else model
    except (RuntimeError, AssertionError) as error:  # AssertionError: of a torch without CUDA
        if device is None or "out of memory" in str(error):
            raise
        raise UsageError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error


def try_detector(cfg: Config, size: int = 64) -> dict[str, float]:
    """Return one training step's losses and do one prediction on a random image: proof that the installation works.

    Returns:
        `loss`, and the `gradient` norm over all parameters.
    """
    model = build_detector(cfg)
    image = torch.randint(0, 255, (3, size, size), dtype=torch.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, size / 2, size / 2]]), labels=torch.zeros(1, dtype=torch.long)
    )
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    model.train()
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    model.eval()
    with torch.no_grad():
        model.test_step(dict(inputs=[image], data_samples=[sample]))
    return {"loss": loss.item(), "gradient": torch.stack(norms).norm().item()}
