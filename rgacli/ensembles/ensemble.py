"""Heads or detectors that are combined, and the ways of combining them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rgacli.ensembles.fusion import joint_nms, oracle, weighted_boxes_fusion
from rgacli.ensembles.timing import Timing
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import Evaluation
from rgacli.evaluation.gt_bins import GTBin
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS
from rgacli.progress import Progress
from rgacli.wording import param

OF_LOGITS = (ENSEMBLE, "average-probs", "average-boxes")
"""Methods that take what heads make of common proposals."""
OF_RESULTS = ("joint-nms", "wbf", "oracle")
"""Methods that take detections alone."""

_LONGEST_NAME = 200  # bytes of a folder's; most file systems take 255

NamedDetections = dict[str, list[dict]]
"""Name -> detections in COCO's results format."""


@dataclass(frozen=True)
class Costs:
    """Parameters and time, by name of a member or a method; what is not known is left out."""

    parameters: dict[str, int] = field(default_factory=dict)
    timing: Timing | None = None


class Ensemble(ABC):
    """Members (heads or detectors) with their detections on one split, and the ways of combining them.

    Attributes:
        name: What the tables are headed by.
        annotations: The split's ground truth, a COCO dict.
        ann_file: Its file.
        folder: Where the methods' detections go.
        figures: Folder of the figure.
        limit: The most detections that an image keeps.
        iou: The IoU of NMS.
        methods: Those that fit what is combined, which `obstacle` may still find something against.
    """

    methods: tuple[str, ...] = ENSEMBLING_METHODS
    name: str
    annotations: dict[str, Any]
    ann_file: str
    folder: Path
    figures: Path
    limit: int | None = None
    iou: float = 0.5

    @property
    @abstractmethod
    def members(self) -> NamedDetections:
        """Each member's own detections; of parallel heads, those that `detect` has found."""

    def obstacle(self, method: str) -> str | None:
        """Return why this method cannot be had here, if it cannot."""
        return None

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None) -> NamedDetections:
        """Return detections by those of `methods` that see more than results."""
        return {}

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None) -> Costs:
        """Return what members and methods cost; timed on so many images, 0 for none."""
        return Costs()

    def choose(self, asked: Sequence[str]) -> list[str]:
        """Return the methods to compare: those asked for, by default all that can be had.

        Raises:
            UsageError: one that was asked for cannot be had.
        """
        wanted = [method for method in ENSEMBLING_METHODS if method in (asked or self.methods)]
        obstacles = {method: self.obstacle(method) for method in wanted}
        left_out: dict[str, list[str]] = {}
        for method, obstacle in obstacles.items():
            if obstacle and asked:
                raise UsageError(f"{param('method', method)}: {obstacle}.")
            if obstacle:
                left_out.setdefault(obstacle, []).append(method)
        for obstacle, without in left_out.items():
            tell(f"without {', '.join(without)}: {obstacle}")
        return [method for method, obstacle in obstacles.items() if not obstacle]

    def fuse(self, methods: Sequence[str], progress: Progress | None) -> NamedDetections:
        """Return detections by those of `methods` that need results alone."""
        found, members = {}, list(self.members.values())
        if "joint-nms" in methods:
            found["joint-nms"] = joint_nms(members, iou=self.iou, limit=self.limit, progress=progress)
        if "wbf" in methods:
            found["wbf"] = weighted_boxes_fusion(members, limit=self.limit, progress=progress)
        return found

    def oracle(self, evaluations: Mapping[str, Evaluation], bins: Sequence[GTBin]) -> tuple[list[dict], dict[str, str]]:
        """Return what `fusion.oracle` does, over the members."""
        return oracle(self.members, {name: evaluations[name] for name in self.members}, bins)

    def fusions(self, methods: Sequence[str]) -> dict[str, Callable[[list[list[dict]]], Any]]:
        """Return method -> what fuses one image's results, to be timed."""
        fusions = {
            "joint-nms": lambda found: joint_nms(found, iou=self.iou, limit=self.limit),
            "wbf": lambda found: weighted_boxes_fusion(found, limit=self.limit),
        }
        return {method: fuse for method, fuse in fusions.items() if method in methods}


def home_of(names: Iterable[str]) -> Path:
    """Return where what is made of several detectors goes."""
    together = "+".join(name.strip("./").replace("/", "_") for name in names)
    if len(together.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(together.encode()).hexdigest()[:8]
        together = together.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{digest}"
    return Path("ensembles") / together


def nms_of(cfg: Any) -> tuple[float, int | None]:
    """Return IoU and most detections per image of the detector's own NMS, as far as it is a two-stage one's."""
    test_cfg = (cfg.model.get("test_cfg") or {}).get("rcnn") or {}
    limit = test_cfg.get("max_per_img", -1)
    return (test_cfg.get("nms") or {}).get("iou_threshold", Ensemble.iou), limit if limit > 0 else None
