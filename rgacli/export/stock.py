"""A trained detector as a stock mmdet config and checkpoint, which take none of our code to load."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from torch import nn

from rgacli.config.recipe import parallel_ratios, set_stock
from rgacli.errors import UsageError
from rgacli.files import replacing, write_text
from rgacli.method import box_head_index
from rgacli.modeling.build import build_detector
from rgacli.modeling.folding import fold_bbox_heads, folded_width
from rgacli.runs import CONFIG, EXPORTED

_BBOX_HEAD = "roi_head.bbox_head."
_KEPT = ("default_scope", "env_cfg", "test_dataloader", "test_cfg", "test_pipeline", "backend_args")


def write_stock(
    cfg: Config,
    checkpoint: Path,
    folder: Path,
    *,
    head: int | None = None,
    classes: Sequence[str],
    ann_file: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write a detector of mmdet's own classes that detects what ours does, as a config and its weights.

    Args:
        cfg, checkpoint: As for `stock_detector`.
        folder: Where `runs.CONFIG` and `runs.EXPORTED` are written.
        head: As for `stock_detector`.
        classes: Names, by label.
        ann_file: COCO annotations that mmdet's own metric is to measure it by.
        provenance: Where it comes from: goes into both files.

    Raises:
        UsageError: as `stock_detector`.
    """
    stock = stock_detector(cfg, checkpoint, head)
    written = Config({key: copy.deepcopy(cfg[key]) for key in _KEPT if key in cfg})
    masks = stock.detector.roi_head.with_mask
    written.test_evaluator = dict(type="CocoMetric", ann_file=ann_file, metric=["bbox"] + ["segm"] * masks)
    written.visualizer = dict(type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
    written.model = stock.config
    written.provenance = dict(provenance)
    imports = dict(cfg.get("custom_imports") or {})
    if theirs := [name for name in imports.get("imports", []) if not name.startswith("rgacli")]:
        written.custom_imports = {**imports, "imports": theirs}  # such as a backbone of the user's
    meta = dict(dataset_meta=dict(classes=tuple(classes)), provenance=dict(provenance))
    write_text(folder / CONFIG, written.pretty_text)
    with replacing(folder / EXPORTED) as temporary:
        torch.save(dict(state_dict=stock.detector.state_dict(), meta=meta), temporary)


class StockDetector(NamedTuple):
    """A detector of mmdet's own classes, in eval mode on the CPU, and its model's config."""

    config: ConfigDict
    detector: nn.Module


def stock_detector(cfg: Config, checkpoint: Path, head: int | None = None) -> StockDetector:
    """Return a detector of mmdet's own classes that detects what ours does.

    Args:
        cfg: A detector with parallel heads.
        checkpoint: Its weights.
        head: Index of the head to take alone; None folds all into one that detects as their ensemble.

    Raises:
        UsageError: the detector has no parallel heads, or they do not fold.
    """
    ratios = parallel_ratios(cfg)
    if not ratios:
        raise UsageError(f"{cfg.model.type} has no parallel heads: it is a stock detector already.")
    model = build_detector(cfg, checkpoint, "cpu")
    cascade = isinstance(model.roi_head, CascadeRoIHead)
    stages = list(model.roi_head.bbox_head) if cascade else [model.roi_head.bbox_head]
    chosen = box_head_index(ratios) if head is None else head
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(_BBOX_HEAD)}
    for stage, heads in enumerate(stages):
        own = fold_bbox_heads(heads, chosen) if head is None else heads[chosen].state_dict()
        prefix = f"{_BBOX_HEAD}{stage}." if cascade else _BBOX_HEAD
        weights |= {prefix + name: value for name, value in own.items()}
    widths = [folded_width(heads) if head is None else None for heads in stages]
    config = _stock_model(cfg.model, chosen, widths)
    detector = MODELS.build(copy.deepcopy(config))
    detector.load_state_dict(weights)  # strictly: nothing missing, nothing left
    return StockDetector(config, detector.eval())


def _stock_model(model: ConfigDict, chosen: int, widths: Sequence[int | None]) -> ConfigDict:
    """Return the config with one bbox head per stage: the chosen one's, its hidden layers as wide as `widths` says."""
    model = copy.deepcopy(model)
    set_stock(model)
    model.backbone.init_cfg = None  # the checkpoint holds it: nothing to download
    roi_head = model.roi_head
    cascade = "num_stages" in roi_head
    by_stage = (
        roi_head.bbox_head if cascade and isinstance(roi_head.bbox_head, list) else [roi_head.bbox_head] * len(widths)
    )
    heads = [copy.deepcopy(config[chosen] if isinstance(config, list) else config) for config in by_stage]
    for head, width in zip(heads, widths, strict=True):
        if width:
            head.fc_out_channels = width
    roi_head.bbox_head = heads if cascade else heads[0]
    return model
