"""What heads, detectors and results files have in common that are combined, and the methods of combining them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rgacli.ensembles.costs import Costs
from rgacli.ensembles.fusion import NMS_IOU, Results, joint_nms, weighted_boxes_fusion
from rgacli.errors import UsageError
from rgacli.evaluation.result_arrays import ResultArrays
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS
from rgacli.progress import Progress
from rgacli.wording import param

if TYPE_CHECKING:
    from mmengine.config import Config

    from rgacli.ensembles.dispatch import Calibration
    from rgacli.evaluation.gt_bins import GTBin

OF_LOGITS = (ENSEMBLE, "average-probs", "average-boxes")
"""Methods that take the outputs of heads on the same proposals."""
OF_RESULTS = ("joint-nms", "wbf", "oracle")
"""Methods that take detections alone."""

_LONGEST_NAME = 200  # bytes of a folder's; most file systems take 255

NamedDetections = dict[str, Results]
"""Name -> detections in COCO's results format."""


@dataclass(frozen=True)
class Detected:
    """Detections on a split.

    Attributes:
        members: Each member's.
        methods: Those of the methods that see more than the members' detections.
        calibration: Of dispatch, if it is among them.
    """

    members: NamedDetections
    methods: NamedDetections
    calibration: Calibration | None = None


class Ensemble(ABC):
    """Heads, detectors or results files on one split ("members"), and the methods of combining them.

    Attributes:
        methods: Those that fit such members; `obstacle` may still find something against one.
        name: What tables are headed by.
        split: What it is called.
        annotations: Its ground truth, a COCO dict.
        ann_file: Its file.
        folder: Where the methods' detections go.
        figures: Folder of the figure.
        iou: The IoU of NMS.
        limit: The most detections that an image keeps.
    """

    methods: ClassVar[tuple[str, ...]] = ENSEMBLING_METHODS
    name: str
    split: str
    annotations: dict[str, Any]
    ann_file: str
    folder: Path
    figures: Path
    iou: float = NMS_IOU
    limit: int | None = None

    def choose(self, methods: Sequence[str] = ()) -> list[str]:
        """Return the methods to compare: those asked for or, where none are, all that can be had.

        Raises:
            UsageError: one that is asked for cannot be had.
        """
        found: list[str] = []
        left_out: dict[str, list[str]] = {}
        for method in (name for name in ENSEMBLING_METHODS if name in (methods or self.methods)):
            obstacle = self.obstacle(method)
            if obstacle is None:
                found.append(method)
            elif methods:
                raise UsageError(f"{param('method', method)}: {obstacle}.")
            else:
                left_out.setdefault(obstacle, []).append(method)
        for obstacle, names in left_out.items():
            tell(f"without {', '.join(names)}: {obstacle}")
        return found

    @abstractmethod
    def obstacle(self, method: str) -> str | None:
        """Return why a method cannot be had here, if it cannot."""

    @abstractmethod
    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None = None) -> Detected:
        """Return the detections of all members, and of those of `methods` that see more than these.

        Args:
            methods: As `choose` returns them.
            bins: What dispatch chooses by.
            progress: Told of each batch.
        """

    def fusions(self, methods: Sequence[str]) -> dict[str, Callable[..., ResultArrays]]:
        """Return method -> function of the members' detections, for those of `methods` that need no more."""
        fusions = {
            "joint-nms": partial(joint_nms, iou=self.iou, limit=self.limit),
            "wbf": partial(weighted_boxes_fusion, limit=self.limit),
        }
        return {method: fuse for method, fuse in fusions.items() if method in methods}

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None = None) -> Costs:
        """Return what members and methods cost.

        Args:
            methods: As `choose` returns them.
            images: How many to time them on; 0 for none.
            progress: Told of each image.
        """
        return Costs()


def of_logits(methods: Sequence[str]) -> list[str]:
    """Return those of `methods` that take logits, but for the paper's ensemble: wherever logits are, it is as well."""
    return [method for method in methods if method in OF_LOGITS and method != ENSEMBLE]


def home_of(names: Iterable[str]) -> Path:
    """Return the folder of what is made of several detectors where none is named: ensembles/A+B."""
    together = "+".join(name.strip("./").replace("/", "_") for name in names)
    if len(together.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(together.encode()).hexdigest()[:8]
        together = together.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{digest}"
    return Path("ensembles") / together


def nms_of(cfg: Config) -> tuple[float, int | None]:
    """Return the IoU and the most detections per image of the detector's NMS, as far as it is a two-stage one's."""
    test_cfg: Mapping[str, Any] = (cfg.model.get("test_cfg") or {}).get("rcnn") or {}
    limit = test_cfg.get("max_per_img", -1)
    return (test_cfg.get("nms") or {}).get("iou_threshold", NMS_IOU), limit if limit > 0 else None
