"""Building a detector, and looking at what its RPN passes on."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from rgacli.core.checkpoints import load_weights
from rgacli.core.configs import BUILD_ERRORS, cannot_build
from rgacli.errors import UsageError

POSITIVE_IOU = 0.5


def build_detector(cfg: Config, checkpoint: Path | None = None, device: str | None = None) -> nn.Module:
    """The config's detector in eval mode; freshly initialised without a checkpoint.

    Args:
        cfg: Its config.
        checkpoint: Its weights.
        device: As torch names it; mmengine's choice (CUDA where there is one) without.

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
        return model.to(device or get_device()).eval()
    except (RuntimeError, AssertionError) as error:  # AssertionError: of a torch without CUDA
        if device is None or "out of memory" in str(error):
            raise
        raise UsageError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error


@torch.no_grad()
def count_positive_proposals(
    model: nn.Module, batches: Iterable[dict], boxes: Mapping[int, Tensor]
) -> Iterator[dict[str, Any]]:
    """How many of the proposals that the RPN passes on are positive: IoU >= 0.5 with any object (paper, Fig. 1b).

    Args:
        model: A two-stage detector, in eval mode.
        batches: Of a test dataloader.
        boxes: Image id -> ground truth (G, 4), xyxy in the original image's pixels.

    Yields:
        Per image: `image_id`, `gt_count`, `proposals` and `positives`.
    """
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        features = model.extract_feat(data["inputs"])
        found = model.rpn_head.predict(features, data["data_samples"], rescale=True)
        for sample, proposals in zip(data["data_samples"], found, strict=True):
            image_id = sample.metainfo["img_id"]
            truth = boxes[image_id].to(proposals.bboxes.device)
            overlaps = bbox_overlaps(proposals.bboxes, truth)
            positives = (overlaps >= POSITIVE_IOU).any(dim=1).sum() if len(truth) else 0
            yield {
                "image_id": image_id,
                "gt_count": len(truth),
                "proposals": len(proposals.bboxes),
                "positives": int(positives),
            }


def try_detector(cfg: Config, size: int = 64) -> dict[str, float]:
    """One training step's losses and one prediction on a random image: proof that the installation works.

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
