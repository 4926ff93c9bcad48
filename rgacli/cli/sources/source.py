"""What all that can be combined has in common, and the ways of combining it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rgacli.cli.output import say
from rgacli.cli.progress import Meter, counted, live_progress
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

    from rgacli.cli.target import Target
    from rgacli.ensembles.timing import Timing
    from rgacli.evaluation.coco_metrics import Evaluation
    from rgacli.evaluation.gt_bins import GTBin

Method = Literal["average", "average-probs", "average-boxes", "joint-nms", "wbf", "dispatch", "oracle"]
METHODS: tuple[Method, ...] = Method.__args__
AVERAGE = "average"
OF_LOGITS = (AVERAGE, "average-probs", "average-boxes")
OF_RESULTS = ("joint-nms", "wbf", "oracle")

_LONGEST_NAME = 200  # bytes of a folder's; most file systems take 255

Found = dict[str, list[dict]]
"""Name -> detections in COCO's results format."""


@dataclass
class Costs:
    """Parameters and time, by name of a head, detector or method; what is not known is left out."""

    parameters: dict[str, int] = field(default_factory=dict)
    timing: Timing | None = None


class Source(ABC):
    """Heads or detectors ("singles") with their detections on one split, and the ways of combining them.

    Attributes:
        name: What the tables are headed by.
        annotations: The split's ground truth, a COCO dict.
        ann_file: Its file.
        detections_dir: Where the methods' detections go.
        figures: Folder of the figure.
        limit: The most detections that an image keeps.
        iou: The IoU of NMS.
        methods: Those that fit what is combined, which `obstacle` may still find something against.
    """

    methods: tuple[Method, ...] = METHODS
    name: str
    annotations: dict[str, Any]
    ann_file: str
    detections_dir: Path
    figures: Path
    limit: int | None = None
    iou: float = 0.5

    @property
    @abstractmethod
    def singles(self) -> Found:
        """Each head's or detector's own detections; of parallel heads, those that `averaged` has found."""

    def obstacle(self, method: Method) -> str | None:
        """Why this method cannot be had here, if it cannot."""
        if method == "wbf" and find_spec("ensemble_boxes") is None:
            return "it needs the package ensemble-boxes: pip install 'rgacli[wbf]' (or ensemble-boxes)"
        return None

    def averaged(self, methods: Sequence[Method], bins: Sequence[GTBin]) -> Found:
        """Detections by those of `methods` that see more than results."""
        return {}

    def costs(self, methods: Sequence[Method], images: int) -> Costs:
        """What methods cost; timed on so many images, 0 for none."""
        return Costs()

    def choose(self, asked: Sequence[Method] | None) -> list[Method]:
        """The methods to compare: those asked for, by default all that can be had.

        Raises:
            UsageError: one that was asked for cannot be had.
        """
        obstacles = {method: self.obstacle(method) for method in METHODS if method in (asked or self.methods)}
        left_out: dict[str, list[Method]] = {}
        for method, obstacle in obstacles.items():
            if obstacle and asked:
                raise UsageError(f"--method {method}: {obstacle}.")
            if obstacle:
                left_out.setdefault(obstacle, []).append(method)
        for obstacle, without in left_out.items():
            say(f"without {', '.join(without)}: {obstacle}")
        return [method for method, obstacle in obstacles.items() if not obstacle]

    def fused(self, methods: Sequence[Method]) -> Found:
        """Detections by those of `methods` that need results alone."""
        from rgacli.ensembles.fusion import joint_nms, weighted_boxes_fusion

        found, singles = {}, list(self.singles.values())
        if "joint-nms" in methods:
            with counted("joint-nms") as progress:
                found["joint-nms"] = joint_nms(singles, iou=self.iou, limit=self.limit, progress=progress)
        if "wbf" in methods:
            with counted("wbf") as progress:
                found["wbf"] = weighted_boxes_fusion(singles, limit=self.limit, progress=progress)
        return found

    def oracle(self, evaluations: Mapping[str, Evaluation], bins: Sequence[GTBin]) -> tuple[list[dict], dict[str, str]]:
        """As `fusion.oracle`, over the singles."""
        from rgacli.ensembles.fusion import oracle

        return oracle(self.singles, {name: evaluations[name] for name in self.singles}, bins)

    def fusions(self, methods: Sequence[Method]) -> dict[str, Callable[[list[list[dict]]], Any]]:
        """Method -> what fuses one image's results, to be timed."""
        from rgacli.ensembles.fusion import joint_nms, weighted_boxes_fusion

        fusions = {
            "joint-nms": lambda found: joint_nms(found, iou=self.iou, limit=self.limit),
            "wbf": lambda found: weighted_boxes_fusion(found, limit=self.limit),
        }
        return {method: fuse for method, fuse in fusions.items() if method in methods}


def home_of(names: Iterable[str]) -> Path:
    """Where what is made of several detectors goes."""
    together = "+".join(name.strip("./").replace("/", "_") for name in names)
    if len(together.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(together.encode()).hexdigest()[:8]
        together = together.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{digest}"
    return Path("ensembles") / together


def nms_of(cfg: Config) -> tuple[float, int | None]:
    """IoU and most detections per image of the detector's own NMS, as far as it is a two-stage one's."""
    test_cfg = (cfg.model.get("test_cfg") or {}).get("rcnn") or {}
    limit = test_cfg.get("max_per_img", -1)
    return (test_cfg.get("nms") or {}).get("iou_threshold", Source.iou), limit if limit > 0 else None


def count_parameters(*modules: nn.Module) -> int:
    """Of all of them together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def timed(
    target: Target,
    images: int,
    prepare: Callable[[Any], Any],
    single: Callable[[Any], Any],
    ways: Mapping[str, Callable[[Any], Any]],
) -> Timing:
    """`timing.measure` on the first images of the target's split, with a progress display."""
    from rgacli.ensembles.timing import measure, single_images

    total = min(images, len(target.images["images"]))
    with live_progress() as progress:
        meter = Meter(progress, "timing", total)
        return measure(single_images(target.cfg, target.split, images), prepare, single, ways, seen=meter.update)
