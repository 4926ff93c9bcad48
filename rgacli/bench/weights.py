"""The weights that contestants share: briefly trained, so that proposals and scores are what a detector's are.

How many boxes are candidates decides what NMS costs, and how many are positive what is sampled: random weights find no
candidate at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn
from torchvision.ops import box_iou

from rgacli import runs
from rgacli.bench.scenes import Scene, draw, for_mmdet
from rgacli.bench.settings import CONFIG
from rgacli.config.files import load_config
from rgacli.config.recipe import bbox_head_configs, set_method
from rgacli.data.cache import cache_folder, kept
from rgacli.errors import UsageError
from rgacli.modeling.build import build_detector
from rgacli.progress import Progress
from rgacli.trained import find_trained
from rgacli.wording import param

RANDOM = "random"
VERSION = 1  # raise it with every change of how the weights are made: cached ones of another version are not used
STEPS, BATCH, SIZE, RATE = 200, 2, (160, 160), 3e-4
_FEWER = {"train_cfg.rpn_proposal": {"nms_pre": 500, "max_per_img": 300}, "train_cfg.rcnn": {"sampler": {"num": 128}}}


def find_weights(
    weights: str | None, config: str | None, progress: Progress | None = None
) -> tuple[Config, Path | None]:
    """Return the config of a benchmark's detectors and their weights; None for random ones.

    Args:
        weights: A run, a checkpoint, "random", or None for those that are made once and kept in the user's cache.
        config: As `load_config` takes it; by default the run's own, and CONFIG for the benchmark's weights.
        progress: Told of each step of making them.

    Raises:
        UsageError: they cannot be found, or belong to a config that is not named.
    """
    if weights is None or weights == RANDOM:
        cfg = load_config(config or CONFIG)
        require_two_stage(cfg)
        return cfg, None if weights else made(cfg, progress)
    path = Path(weights)
    trained = find_trained(None, path, config) if path.is_file() else find_trained(runs.find_run(weights).path)
    cfg = load_config(config) if config else trained.cfg
    require_two_stage(cfg)
    return cfg, trained.checkpoint


def require_two_stage(cfg: Config) -> None:
    """Raise a UsageError unless a config has R-CNN heads of a single stage, which contestants are made of."""
    heads = cfg.model.get("roi_head", {}).get("bbox_head")
    if not bbox_head_configs(cfg) or "num_stages" in cfg.model.roi_head or not cfg.model.get("rpn_head"):
        raise UsageError(
            f"{param('config')}: a {cfg.model.type} with {len(heads) if isinstance(heads, list) else 'no'} stages of "
            "R-CNN heads is not what is measured here: take a Faster R-CNN."
        )


def made(cfg: Config, progress: Progress | None = None) -> Path:
    """Return weights of a config's detector with one head, made on first use and kept in the user's cache."""
    key = hashlib.sha256(json.dumps(_plain(cfg).to_dict(), sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = cache_folder() / f"bench-weights-v{VERSION}-{key}"
    return kept(folder, lambda new: _write(cfg, new, progress)) / "weights.pth"


def _write(cfg: Config, folder: Path, progress: Progress | None) -> None:
    folder.mkdir()
    torch.save({"state_dict": train_briefly(cfg, progress=progress)}, folder / "weights.pth")


def _plain(cfg: Config) -> Config:
    """Return the model's config with mmdet's own single head, from scratch, with batch norm that is trained."""
    plain = Config(dict(model=cfg.model.to_dict()))
    set_method(plain, rga=False, prm=False)
    backbone = plain.model.backbone
    backbone.init_cfg = None
    for key, value in (("norm_eval", False), ("frozen_stages", -1)):
        if key in backbone:
            backbone[key] = value
    return Config(dict(model=plain.model.to_dict()))


def train_briefly(
    cfg: Config, *, steps: int = STEPS, size: tuple[int, int] = SIZE, progress: Progress | None = None
) -> dict[str, Any]:
    """Train a config's detector from scratch on small images of the embedded dataset's kind, by fewer proposals.

    Args:
        cfg: Its config.
        steps: Of AdamW, BATCH images each.
        size: (height, width) px of the images.
        progress: Told of each step.

    Returns:
        The state dict, on the CPU.
    """
    plain = _plain(cfg)
    for key, values in _FEWER.items():
        part = plain.model.get("train_cfg", {})
        _lower(part[key.rpartition(".")[2]], values)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_detector(plain).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(steps, 2), pct_start=0.1)
        classes = bbox_head_configs(plain)[0].num_classes
        for step in range(steps):
            scenes = draw(BATCH, size, classes, seed=step, most=20, median=5)
            data = model.data_preprocessor(for_mmdet(scenes), True)
            loss, _ = model.parse_losses(model(**data, mode="loss"))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10)
            optimizer.step()
            schedule.step()
            if progress:
                progress("making weights", step + 1, steps, f"loss {loss.item():.2f}; kept for the next time")
    return {name: value.cpu() for name, value in model.state_dict().items()}


def _lower(part: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            _lower(part[key], value)
        elif key in part:
            part[key] = min(part[key], value)


@torch.no_grad()
def describe(model: nn.Module, scenes: list[Scene]) -> dict[str, float]:
    """Return how much like a trained detector's the inputs of the R-CNN part are, means over images.

    Args:
        model: A detector with mmdet's own RoI head.
        scenes: Images.

    Returns:
        `proposals` after NMS at test time, the share of `objects_proposed` at IoU 0.5, `candidates` of box and class
        above the score threshold, `detections` after NMS, and `positives_drawn` in training.
    """
    was_training = model.training
    model.eval()
    data = model.data_preprocessor(for_mmdet(scenes), False)
    samples = data["data_samples"]
    x = model.extract_feat(data["inputs"])
    proposals = model.rpn_head.predict(x, samples, rescale=False)
    test_cfg = model.roi_head.test_cfg
    raw = model.roi_head.predict_bbox(x, [sample.metainfo for sample in samples], proposals, None, rescale=False)
    found = model.roi_head.predict(x, proposals, samples, rescale=False)
    drawn, proposed = [], []
    for own, sample in zip(proposals, samples, strict=True):
        boxes = sample.gt_instances.bboxes
        proposed.append(box_iou(boxes, own.bboxes).amax(dim=1) > 0.5 if len(own) else torch.zeros(len(boxes)))
        assigned = model.roi_head.bbox_assigner.assign(_priors(own), sample.gt_instances, sample.ignored_instances)
        drawn.append(len(model.roi_head.bbox_sampler.sample(assigned, _priors(own), sample.gt_instances).pos_inds))
    model.train(was_training)
    number = len(scenes)
    return {
        "proposals": sum(map(len, proposals)) / number,
        "objects": sum(len(scene.boxes) for scene in scenes) / number,
        "objects_proposed": torch.cat(proposed).float().mean().item(),
        "candidates": sum(int((own.scores[:, :-1] > test_cfg.score_thr).sum()) for own in raw) / number,
        "detections": sum(map(len, found)) / number,
        "positives_drawn": sum(drawn) / number,
    }


def _priors(proposals: Any) -> Any:
    return type(proposals)(priors=proposals.bboxes)
