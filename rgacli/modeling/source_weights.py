"""A checkpoint of any two-stage detector, taken apart: what its R-CNN heads are, and what all the rest is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rgacli.config.literals import parse_literals
from rgacli.errors import RunFailed, UsageError
from rgacli.method import SamplingRatio, parse_ratios
from rgacli.modeling.checkpoints import read_checkpoint, state_dict
from rgacli.modeling.torchvision_weights import from_torchvision, is_torchvision, torchvision_classes

Weights = dict[str, Tensor]
BBOX_HEAD = "roi_head.bbox_head."


@dataclass(frozen=True)
class SourceWeights:
    """A trained detector's weights.

    Attributes:
        path: Their file.
        rest: Name -> tensor of all but the bbox heads.
        bbox_heads: [stage][k] -> name inside the head -> tensor; empty of a one-stage detector.
        ratios: The sampling ratio of each head; None where there are no parallel heads, or the file does not tell.
        classes: Names by label; None where the file does not tell.
        torchvision: Whether they are torchvision's.
    """

    path: Path
    rest: Weights
    bbox_heads: list[list[Weights]]
    ratios: tuple[SamplingRatio, ...] | None
    classes: tuple[str, ...] | None
    torchvision: bool

    @property
    def hidden_width(self) -> int | None:
        """Features of the bbox heads' first hidden layer; None where there is none, or heads differ."""
        first = [head.get("shared_fcs.0.weight") for heads in self.bbox_heads for head in heads]
        widths = {None if weight is None else len(weight) for weight in first}
        return widths.pop() if len(widths) == 1 else None


def read_source(path: Path | str, *, cascade: bool) -> SourceWeights:
    """Read a checkpoint of mmdet's (any version), of ours, or of torchvision's.

    Args:
        path: Its file, or an address to fetch it from.
        cascade: Whether the detector that it is for is a cascade: heads numbered once are its stages then, else
            parallel heads, where the checkpoint itself does not tell.

    Raises:
        UsageError: as `read_checkpoint`, or these are no weights of a detector.
        RunFailed: they cannot be fetched.
    """
    path = _fetched(str(path)) if "://" in str(path) else Path(path)
    if path.is_dir():
        raise UsageError(f"weights {path}: a folder; name the checkpoint in it.")
    content = read_checkpoint(path)
    weights = {name: value for name, value in state_dict(content).items() if isinstance(value, Tensor)}
    meta = content.get("meta") if isinstance(content.get("meta"), dict) else {}
    torchvision = is_torchvision(weights)
    if torchvision:
        weights = from_torchvision(weights)
    if not any(name.startswith("backbone.") for name in weights):
        raise UsageError(
            f"weights {path}: not of a detector (no layer is named backbone.…); a backbone alone is given by "
            "model.backbone.init_cfg in the config."
        )
    own = _described(str(meta.get("cfg") or meta.get("config") or ""))
    heads = bbox_heads(weights, cascade=cascade if own is None else own.cascade)
    ratios = own.ratios if own else None
    return SourceWeights(
        path=path,
        rest={name: value for name, value in weights.items() if not name.startswith(BBOX_HEAD)},
        bbox_heads=heads,
        ratios=ratios,
        classes=torchvision_classes(weights) if torchvision else _classes(meta),
        torchvision=torchvision,
    )


def bbox_heads(weights: Mapping[str, Tensor], *, cascade: bool) -> list[list[Weights]]:
    """Return the bbox heads' weights by [stage][k]; empty of a detector without.

    Args:
        weights: Of the whole detector. A head's names begin `roi_head.bbox_head.`, with `k.`, `stage.` or `stage.k.`
            where there are several.
        cascade: Whether a single number is the stage, and not k.
    """
    found: dict[tuple[int, int], Weights] = {}
    for name, value in weights.items():
        if name.startswith(BBOX_HEAD):
            first, second, own = re.fullmatch(r"(?:(\d+)\.)?(?:(\d+)\.)?(.+)", name.removeprefix(BBOX_HEAD)).groups()
            number = int(first or 0)
            place = (number, int(second)) if second else (number, 0) if cascade else (0, number)
            found.setdefault(place, {})[own] = value
    stages = sorted({stage for stage, _ in found})
    return [[found[key] for key in sorted(found) if key[0] == stage] for stage in stages]


class _RoIHead(NamedTuple):
    """What a config says of its RoI head."""

    cascade: bool
    ratios: tuple[SamplingRatio, ...] | None


def _described(cfg: str) -> _RoIHead | None:
    """Return what a config's text says of the RoI head; it is parsed and not run. None where it says nothing."""
    try:
        config = parse_literals(cfg)
    except (SyntaxError, ValueError):
        return None
    model = config.get("model")
    roi_head = model.get("roi_head") if isinstance(model, dict) else None
    if not isinstance(roi_head, dict):
        return None
    return _RoIHead("num_stages" in roi_head, parse_ratios(roi_head["ratios"]) if roi_head.get("ratios") else None)


def _classes(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names in a checkpoint's meta data: mmdet 3's, or mmdet 1's and 2's."""
    own = meta.get("dataset_meta") or meta
    names = next((own[key] for key in ("classes", "CLASSES") if own.get(key)), None)
    return tuple(map(str, names)) if isinstance(names, (list, tuple)) else None


def _fetched(address: str) -> Path:
    """Return the file that lies at an address, fetched once.

    Raises:
        RunFailed: it cannot be fetched.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), progress=False)
        except OSError as error:  # urllib's among them
            reason = getattr(error, "reason", error)
            raise RunFailed(f"weights {address} cannot be fetched ({reason}): give a file of them.") from error
    return path
