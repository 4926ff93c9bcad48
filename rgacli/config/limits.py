"""How many detections of an image a detector can give: the limits in its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from rgacli.config.catalogue import MAX_DETS

PROPOSALS = 2
"""Proposals for each detection. mmdet's CrowdHuman setting has as many (1000 for 500).

Of 1, 2, 3, 5 and 10, on drawn images of up to 170 objects at 200 detections, AP was 0.292, 0.334, 0.337, 0.327 and
0.291 (the quickstart's detector, trained with 2): more cost time, and let in what the heads were not trained on.
"""


def set_limits(cfg: Config, max_dets: int, *, training: bool = False) -> str | None:
    """Raise the limits of a detector's config so that it can give as many detections of an image, in place.

    None is ever lowered, and none changed for up to MAX_DETS detections. What NMS is given (`nms_pre`) grows as what
    it may keep (`max_per_img`). Detectors with a fixed number of queries and without NMS stay as they are.

    Args:
        cfg: The detector's, with one stage, two or a cascade.
        max_dets: The number of detections.
        training: Raise as well the limits on the proposals that R-CNN modules are trained on.

    Returns:
        A line that says what was raised; None where nothing was.
    """
    if max_dets <= MAX_DETS:
        return None
    raised = []
    merging = _with_nms("tta_model.tta_cfg", (cfg.get("tta_model") or {}).get("tta_cfg"), max_dets)
    for key, limits, least in (*_limits(cfg, max_dets, training), *merging):
        for name, value in raised_limits(limits, least).items():
            raised.append(f"{key}.{name} {limits[name]} → {value}")
            limits[name] = value
    return f"limits raised for {max_dets} detections an image: {', '.join(raised)}" if raised else None


def raised_limits(limits: Mapping[str, Any], least: int) -> dict[str, int]:
    """Return those of `max_per_img` and `nms_pre` that have to be raised for NMS to keep as many boxes, raised.

    Args:
        limits: Of a head; one that is missing or not above 0 is none.
        least: The number of boxes.
    """
    kept, given = (_limit(limits, name) for name in ("max_per_img", "nms_pre"))
    needed = {"max_per_img": least, "nms_pre": least}
    if kept and given and kept < least:
        needed["nms_pre"] = max(least, -(-given * least // kept))
    return {name: value for name, value in needed.items() if 0 < _limit(limits, name) < value}


def most_objects(cfg: Config) -> int | None:
    """Return the most objects of an image that a config's limits let be detected; None where it has none."""
    limits = [_limit(limits, "max_per_img") for _, limits, _ in _limits(cfg, MAX_DETS, training=False)]
    return min(filter(None, limits), default=None)


def _limits(cfg: Config, max_dets: int, training: bool) -> Iterator[tuple[str, Any, int]]:
    """Yield key, limits and the least number of boxes of each NMS that detections come out of."""
    test_cfg, train_cfg = (cfg.model.get(name) or {} for name in ("test_cfg", "train_cfg"))
    last = ("model.test_cfg.rcnn", test_cfg["rcnn"]) if "rcnn" in test_cfg else ("model.test_cfg", test_cfg)
    yield from _with_nms(*last, max_dets)
    yield from _with_nms("model.test_cfg.rpn", test_cfg.get("rpn"), PROPOSALS * max_dets)
    if training:
        yield from _with_nms("model.train_cfg.rpn_proposal", train_cfg.get("rpn_proposal"), PROPOSALS * max_dets)


def _with_nms(key: str, limits: Any, least: int) -> Iterator[tuple[str, Any, int]]:
    # Without NMS, the number is that of the detector's queries or peaks, and torch refuses to take more of them.
    if isinstance(limits, dict) and limits.get("nms"):
        yield key, limits, least


def _limit(limits: Mapping[str, Any], name: str) -> int:
    """Return a limit; 0 where there is none."""
    return max(limits.get(name) or 0, 0)
