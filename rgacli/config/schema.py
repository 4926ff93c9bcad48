"""What we read of a config, and what it has to be: a key of the wrong kind is named, in place of what trips over it.

So are those of mmdet's parts that every two-stage detector has (assigners, coders, anchors, NMS, losses). A config may
have any other key: those are mmengine's and mmdet's, who say what is wrong with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a value has to be.

    Attributes:
        words: As a message says it: "expected …".
        fits: Whether a value is of this kind.
    """

    words: str
    fits: Callable[[Any], bool]

    def __or__(self, other: Kind) -> Kind:
        return Kind(f"{self.words} or {other.words}", lambda value: self.fits(value) or other.fits(value))


_INFINITE = 2.0**128
"""For float32, which torch's numbers are."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _INFINITE


def _number(words: str, fits: Callable[[float], bool] = lambda value: True) -> Kind:
    return Kind(words, lambda value: _is_number(value) and fits(value))


def _whole(least: int, most: float = 2**53) -> Kind:
    """Return the kind of whole numbers from `least`; as the schedules of mmengine take it, 1e5 is one."""
    return _number(f"a whole number, at least {least}", lambda value: value == int(value) and least <= value <= most)


def _many(kind: Kind, words: str, least: int = 0) -> Kind:
    def fits(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and len(value) >= least and all(map(kind.fits, value))

    return Kind(words, fits)


def _nested(kind: Kind, words: str) -> Kind:
    """Return the kind of one, of a list of them, or of lists of lists: those of a cascade's stages."""

    def fits(value: Any) -> bool:
        return bool(value) and all(map(fits, value)) if isinstance(value, (list, tuple)) else kind.fits(value)

    return Kind(words, fits)


def _dict_of(*keys: str) -> Kind:
    """Return the kind of dicts that have no other keys: those of a function's arguments."""
    return Kind(f"a dict of {', '.join(keys)}", lambda value: isinstance(value, Mapping) and value.keys() <= {*keys})


_NONE = Kind("None", lambda value: value is None)
_TEXT = Kind("a text", lambda value: isinstance(value, str))
_NAME = Kind("the name of a class", lambda value: isinstance(value, str) and bool(value.strip()))
_SWITCH = Kind("True or False", lambda value: isinstance(value, bool))
_DICT = Kind("a dict", lambda value: isinstance(value, Mapping))
_PART = Kind(
    "a dict with the name of a class as its `type`",
    lambda value: isinstance(value, Mapping) and _NAME.fits(value.get("type")),
)
_PARTS = _many(_PART, "a list of dicts, each with the name of a class as its `type`")
_STAGES = _nested(_PART, f"{_PART.words}, or a list of such")
_FINITE = _number("a finite number")
_POSITIVE = _number("a finite number above 0", lambda value: value > 0)
_SHARE = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)
_INDEX = _number("a whole number", lambda value: value == int(value))
_LIMIT = _number(
    "a whole number above 0, or -1 for no limit", lambda value: value == int(value) and (value > 0 or value == -1)
)
_LEVEL = Kind(
    "a level of Python's logging, such as 'INFO'",
    lambda value: isinstance(logging.getLevelName(value), int) if isinstance(value, str) else _INDEX.fits(value),
)
_TEXTS = _many(_TEXT, "a list of texts")

_NUMBERS = _many(_POSITIVE, "a list of numbers above 0", least=1)
_FOUR = Kind(
    "four finite numbers",
    lambda value: isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_is_number, value)),
)

_OF_NMS = "type iou_threshold iou_thr offset score_threshold max_num sigma min_score method class_agnostic split_thr"
"""What mmcv's functions take."""
_NMS: Mapping[str, Kind] = {
    "nms": _dict_of(*_OF_NMS.split()) | _NONE,
    "nms.type": Kind("nms or soft_nms", lambda value: value in ("nms", "soft_nms")),  # mmcv evaluates it
    "nms.iou_threshold": _SHARE,
    "nms_pre": _INDEX | _NONE,
    "max_per_img": _LIMIT | _NONE,
    "min_bbox_size": _FINITE,
    "score_thr": _FINITE,
}
"""Of what NMS leaves, for proposals and for detections; the number of either may be unlimited (-1)."""

_CODER: Mapping[str, Kind] = {
    "target_means": _FOUR,
    "target_stds": _FOUR,
}
_ANCHORS: Mapping[str, Kind] = {
    "scales": _NUMBERS | _NONE,
    "ratios": _NUMBERS,
    "strides": _many(_POSITIVE | _many(_POSITIVE, "two", least=2), "a list of numbers above 0, or of pairs", least=1),
}
_ASSIGNER: Mapping[str, Kind] = {
    "pos_iou_thr": _SHARE,
    "neg_iou_thr": _SHARE | _many(_SHARE, "two of them", least=2),
    "min_pos_iou": _SHARE,
    "ignore_iof_thr": _FINITE,
}
_LOSSES: Mapping[str, Kind] = {
    "loss_cls": _DICT | _NONE,
    "loss_cls.loss_weight": _FINITE,
    "loss_bbox": _DICT | _NONE,
    "loss_bbox.loss_weight": _FINITE,
}
_HEADS: Mapping[str, Kind] = {
    "type": _NAME,
    "num_classes": _whole(1),
    "fc_out_channels": _whole(1),
    **_LOSSES,
}
_LOADING = Kind(
    "a dict with a `dataset`",
    lambda value: isinstance(value, Mapping) and (not value or isinstance(value.get("dataset"), Mapping)),
)
_LOADER: Mapping[str, Kind] = {
    "batch_size": _whole(1),
    "num_workers": _whole(0),
    "persistent_workers": _SWITCH,
    "drop_last": _SWITCH,
    "sampler": _PART,
    "batch_sampler": _PART | _NONE,
    "dataset": _PART,
    "dataset.type": _NAME,
    "dataset.datasets": _many(_PART, "a list of datasets' dicts", least=1),
    "dataset.ann_file": _TEXT,
    "dataset.data_root": _TEXT | _NONE,
    "dataset.data_prefix": _DICT | _NONE,
    "dataset.data_prefix.img": _TEXT,
    "dataset.metainfo": _DICT | _NONE,
    "dataset.metainfo.classes": _many(_TEXT, "a list of the classes' names", least=1) | _NONE,
    "dataset.filter_cfg": _DICT | _NONE,
    "dataset.pipeline": _many(_PART, _PARTS.words, least=1),
    "dataset.pipeline.with_bbox": _SWITCH,
    "dataset.pipeline.with_label": _SWITCH,
    "dataset.pipeline.with_mask": _SWITCH,
}


def _under(key: str, kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    return {f"{key}.{name}": kind for name, kind in kinds.items()}


# Outer keys go before inner ones. Of a list, what stands below it is meant of each of its elements; `dataset` means
# that of every wrapper as well.
SCHEMA: Mapping[str, Kind] = {
    "model": _PART,
    "model.backbone": _PART,
    "model.backbone.init_cfg": _nested(_DICT, "a dict, or a list of such") | _NONE,
    "model.backbone.frozen_stages": _INDEX,
    "model.backbone.num_stages": _whole(1),
    "model.backbone.base_channels": _whole(1),
    "model.backbone.depths": _many(_whole(1), "a list of whole numbers"),
    "model.neck": _STAGES | _NONE,
    "model.data_preprocessor": _PART,
    "model.data_preprocessor.mean": _many(_FINITE, "a list of finite numbers") | _NONE,
    "model.data_preprocessor.std": _many(_FINITE, "a list of finite numbers") | _NONE,
    "model.rpn_head": _PART | _NONE,
    **_under("model.rpn_head", _LOSSES),
    **_under("model.rpn_head.anchor_generator", _ANCHORS),
    **_under("model.rpn_head.bbox_coder", _CODER),
    "model.roi_head": _DICT | _NONE,
    "model.roi_head.type": _NAME,
    "model.roi_head.ratios": _many(_TEXT, 'a list of texts such as ["1:1", "1:9"]', least=1),
    "model.roi_head.num_stages": _whole(1),
    "model.roi_head.bbox_roi_extractor": _STAGES | _NONE,
    "model.roi_head.bbox_roi_extractor.featmap_strides": _NUMBERS,
    "model.roi_head.bbox_head": _STAGES | _NONE,
    **_under("model.roi_head.bbox_head", _HEADS),
    **_under("model.roi_head.bbox_head.bbox_coder", _CODER),
    "model.roi_head.mask_head": _STAGES | _NONE,
    **_under("model.roi_head.mask_head", _HEADS),
    "model.train_cfg": _DICT | _NONE,
    "model.train_cfg.rpn": _DICT | _NONE,
    "model.train_cfg.rpn.pos_weight": _FINITE,
    **_under("model.train_cfg.rpn.assigner", _ASSIGNER),
    "model.train_cfg.rpn_proposal": _DICT | _NONE,
    **_under("model.train_cfg.rpn_proposal", _NMS),
    "model.train_cfg.rcnn": _nested(_DICT, "a dict, or a list of a dict for each stage") | _NONE,
    "model.train_cfg.rcnn.assigner": _STAGES,
    **_under("model.train_cfg.rcnn.assigner", _ASSIGNER),
    "model.train_cfg.rcnn.pos_weight": _FINITE,
    "model.train_cfg.rcnn.sampler": _PART,
    "model.train_cfg.rcnn.sampler.num": _whole(1),
    "model.train_cfg.rcnn.sampler.pos_fraction": _SHARE,
    "model.train_cfg.rcnn.sampler.neg_pos_ub": _FINITE,
    "model.test_cfg": _DICT | _NONE,
    "model.test_cfg.rpn": _DICT | _NONE,
    "model.test_cfg.rcnn": _DICT | _NONE,
    **_under("model.test_cfg", _NMS),
    **_under("model.test_cfg.rpn", _NMS),
    **_under("model.test_cfg.rcnn", _NMS),
    "*_dataloader": _LOADING | _NONE,
    **_under("*_dataloader", _LOADER),
    "train_cfg": _DICT | _NONE,
    "train_cfg.type": _NAME,
    "train_cfg.by_epoch": _SWITCH,
    "train_cfg.max_epochs": _whole(0),
    "train_cfg.max_iters": _whole(1),
    "train_cfg.val_interval": _whole(1),
    "train_cfg.val_begin": _whole(0),
    "val_cfg": _DICT | _NONE,
    "test_cfg": _DICT | _NONE,
    "optim_wrapper": _DICT | _NONE,
    "optim_wrapper.type": _NAME,
    "optim_wrapper.optimizer": _PART,
    "optim_wrapper.optimizer.lr": _POSITIVE,
    "optim_wrapper.optimizer.weight_decay": _FINITE,
    "optim_wrapper.optimizer.momentum": _FINITE,
    "optim_wrapper.accumulative_counts": _whole(1),
    "optim_wrapper.clip_grad": _DICT | _NONE,
    "optim_wrapper.clip_grad.max_norm": _POSITIVE,
    "param_scheduler": _STAGES | _many(_PART, "an empty one") | _NONE,
    "param_scheduler.start_factor": _SHARE,
    "param_scheduler.gamma": _FINITE,
    "param_scheduler.begin": _whole(0),
    "param_scheduler.end": _whole(1),
    "param_scheduler.T_max": _whole(1) | _NONE,
    "param_scheduler.by_epoch": _SWITCH,
    "param_scheduler.milestones": _many(_whole(0), "a list of whole numbers"),
    "auto_scale_lr": _DICT | _NONE,
    "auto_scale_lr.enable": _SWITCH,
    "auto_scale_lr.base_batch_size": _whole(1) | _NONE,
    "default_hooks": _DICT | _NONE,
    "default_hooks.*": _DICT | _NONE,
    "default_hooks.*.type": _NAME,
    "default_hooks.logger.interval": _whole(1),
    "default_hooks.checkpoint.interval": _INDEX,
    "default_hooks.checkpoint.max_keep_ckpts": _INDEX,
    "default_hooks.checkpoint.save_best": _TEXT | _TEXTS | _NONE,
    "custom_hooks": _PARTS | _NONE,
    "custom_imports": _DICT | _NONE,
    "custom_imports.imports": _TEXT | _TEXTS,
    "custom_imports.allow_failed_imports": _SWITCH,
    "randomness": _DICT | _NONE,
    "randomness.seed": _whole(0, 2**32 - 1) | _NONE,
    "env_cfg": _DICT,
    "env_cfg.mp_cfg": _DICT,
    "env_cfg.dist_cfg": _DICT | _NONE,
    "env_cfg.cudnn_benchmark": _SWITCH,
    "log_level": _LEVEL,
    "log_processor": _DICT | _NONE,
    "log_processor.by_epoch": _SWITCH,
    "log_processor.window_size": _whole(1),
    "vis_backends": _PARTS | _NONE,
    "visualizer": _PART | _NONE,
    "tta_model": _PART | _NONE,
    "tta_pipeline": _PARTS | _NONE,
    "default_scope": _TEXT | _NONE,
    "load_from": _TEXT | _NONE,
    "weights": _TEXT | _NONE,
    "processes": _whole(1),
    "plain": _SWITCH,
    "find_unused_parameters": _SWITCH,
}
"""Key -> what we take its value to be, where a config has the key."""

TRAINED_BY = (
    "train_cfg",
    "optim_wrapper",
    "optim_wrapper.optimizer",
    "optim_wrapper.optimizer.lr",
    "train_dataloader",
    "train_dataloader.batch_size",
    "train_dataloader.sampler",
    "val_dataloader",
    "val_dataloader.sampler",
    "test_dataloader",
    "test_dataloader.sampler",
)
"""What no training of ours does without."""


def misfit(config: Mapping[str, Any], required: Sequence[str] = ()) -> str | None:
    """Return what is wrong with the first key that is not what we take it for; None where all are right.

    Args:
        config: A config, or what is known of one.
        required: Keys that it must have, and not as None.

    Returns:
        Such as "train_cfg.val_interval is 0; expected a whole number, at least 1".
    """
    for key, kind in SCHEMA.items():
        for place, value in _found(config, key.split(".")):
            if not kind.fits(value):
                return f"{place} is {shown(value)}; expected {kind.words}"
    for key in required:
        if all(value in (None, {}) for _, value in _found(config, key.split("."))):
            return f"it has no {key}, which training needs: let it inherit one (`_base_`), as mmdet's configs do"
    return None


def _found(value: Any, names: Sequence[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield place and value of all that a key leads to."""
    if not names:
        yield place, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _found(item, names, f"{place}.{index}")
    elif isinstance(value, Mapping):
        name, *rest = names
        for own, item in value.items():
            if isinstance(own, str) and fnmatchcase(own, name):
                below = f"{place}.{own}" if place else own
                yield from _found(item, rest, below)
                if name == "dataset":
                    yield from _wrapped(item, rest, below)


def _wrapped(wrapper: Any, rest: Sequence[str], place: str) -> Iterator[tuple[str, Any]]:
    """Yield the same of the datasets in a wrapper, such as RepeatDataset and ConcatDataset."""
    yield from _found(wrapper, ["dataset", *rest], place)
    for inner, dataset in _found(wrapper, ["datasets"], place):
        for index, one in enumerate(dataset if isinstance(dataset, (list, tuple)) else ()):
            yield from _found(one, rest, f"{inner}.{index}")
            yield from _wrapped(one, rest, f"{inner}.{index}")


def shown(value: Any) -> str:
    """Return a value as a message can hold it."""
    return shortened(repr(value))


def shortened(text: str, most: int = 60) -> str:
    """Return a text on one line, and of so many characters at most: what is left out is marked."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"
