"""The check that what is exported detects what its run does, on the run's own images."""

from __future__ import annotations

from pathlib import Path

from rgacli.config.dataset import annotation_file, image_folder
from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.export.exported_head import ExportedHead
from rgacli.export.parity import Parity, compare_detections
from rgacli.inference.load import load_detector
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.trained import Trained
from rgacli.wording import param

_TOLERANCE = dict(boxes=0.01, scores=1e-3, unpaired=0.01)
"""How far rounding may part detections, in pixels and score, and how many it may exchange in NMS: it stays below."""


def check_parity(
    source: SplitDetections,
    head: ExportedHead,
    exported: Trained,
    limit: int,
    progress: Progress | None = None,
) -> Parity | None:
    """Compare what an export detects with what its original does, on images of the split.

    Args:
        source: What was exported, on the split.
        head: What of it, exactly.
        exported: The export.
        limit: Number of images, the split's first; fewer where it has fewer.
        progress: Told of each image.

    Returns:
        None where no image is asked for or none is there.

    Raises:
        UsageError: `limit` is negative.
        RunFailed: they differ by more than rounding does.
    """
    if limit < 0:
        raise UsageError(f"{param('check', limit)}: a number of images, 0 for none.")
    if not limit:
        return None
    paths = _image_files(source)[:limit]
    if not paths:
        tell(f"{source.name}: not checked, for the {source.split} split's images are not there")
        return None
    export, original = load_detector(exported, "cpu"), load_detector(source.trained, "cpu")
    parity = Parity()
    for number, path in enumerate(paths, start=1):
        parity += compare_detections([export(path)[export.heads[-1]]], [original(path)[head.name]])
        if progress:
            progress("checking", number, len(paths))
    if not parity.within(**_TOLERANCE):
        raise RunFailed(
            f"{source.name}: what was exported does not detect what {head.name} does, and is not kept: {parity} "
            f"({param('check', 0)} exports without looking)."
        )
    nothing = "; nothing was found, so that nothing is shown" * (not parity.detections)
    tell(f"{source.name}: checked against {head.name}: {parity}{nothing}")
    return parity


def _image_files(source: SplitDetections) -> list[Path]:
    """Return the split's images that are there; none if its annotations, which list them, are not."""
    if not Path(annotation_file(source.dataset)).is_file():
        return []
    folder = Path(image_folder(source.dataset))
    return [path for image in source.images["images"] if (path := folder / image["file_name"]).is_file()]
