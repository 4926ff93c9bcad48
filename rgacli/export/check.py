"""The check that what is exported detects what its run does, on the run's own images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from rgacli.config.dataset import annotation_file, image_folder
from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.export.exported_head import ExportedHead
from rgacli.export.parity import Parity, compare_detections
from rgacli.inference.detector import Detector, Prepared
from rgacli.inference.load import load_detector
from rgacli.inference.onnx_detector import OnnxDetector
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.trained import Trained
from rgacli.wording import param

_TOLERANCE = dict(boxes=0.01, scores=1e-3, unpaired=0.01)
"""How far rounding may part detections, in pixels and score, and how many it may exchange in NMS: it stays below."""


class Batching(NamedTuple):
    """How images go through a detector.

    Attributes:
        kept: For each image of a batch, the shares of its height and width that are kept, from the upper left.
        words: As messages say it.
    """

    kept: Sequence[tuple[float, float]]
    words: str = ""


ALONE = "1"
BATCHES = {
    ALONE: Batching([(1, 1)]),
    "3": Batching([(1, 1)] * 3, " in batches of 3"),
    "mixed": Batching([(1, 1), (0.75, 1), (0.5, 0.6)], " in batches of mixed sizes"),
}


def check_parity(
    source: SplitDetections,
    head: ExportedHead,
    exported: Trained,
    limit: int,
    progress: Progress | None = None,
    batches: Sequence[str] = (ALONE,),
) -> dict[str, Parity]:
    """Compare what an export detects with what its original does, on images of the split.

    Args:
        source: What was exported, on the split.
        head: What of it, exactly.
        exported: The export.
        limit: Number of images, the split's first; fewer where it has fewer.
        progress: Told of each batch.
        batches: Names of BATCHES: all images go through both detectors in each of these ways.

    Returns:
        How closely both agree in each of them; empty where no image is asked for or none is there.

    Raises:
        UsageError: `limit` is negative.
        RunFailed: they differ by more than rounding does.
    """
    if limit < 0:
        raise UsageError(f"{param('check', limit)}: a number of images, 0 for none.")
    if not limit:
        return {}
    paths = _image_files(source)[:limit]
    if not paths:
        tell(f"{source.name}: not checked, for the {source.split} split's images are not there")
        return {}
    export, original = load_detector(exported, "cpu"), load_detector(source.trained, "cpu")
    checked = {}
    for name in batches:
        batching = BATCHES[name]
        parity = checked[name] = _compare(export, original, head.name, paths, batching, progress)
        if not parity.within(**_TOLERANCE):
            raise RunFailed(
                f"{source.name}: what was exported does not detect what {head.name} does{batching.words}, and is not "
                f"kept: {parity} ({param('check', 0)} exports without looking)."
            )
        nothing = "; nothing was found, so that nothing is shown" * (not parity.detections)
        tell(f"{source.name}: checked against {head.name}{batching.words}: {parity}{nothing}")
    return checked


def _compare(
    export: Detector | OnnxDetector,
    original: Detector | OnnxDetector,
    head: str,
    paths: Sequence[Path],
    batching: Batching,
    progress: Progress | None,
) -> Parity:
    """Return how closely two detectors agree. Images too few for a batch come into it more than once."""
    size, parity = len(batching.kept), Parity()
    paths = list(islice(cycle(paths), max(size, len(paths))))
    for start in range(0, len(paths), size):
        batch = list(zip(paths[start : start + size], batching.kept, strict=False))
        found, expected = (
            detector.detect_together([_cut(detector.prepare(detector.read(path)), *kept) for path, kept in batch])
            for detector in (export, original)
        )
        parity += compare_detections([own[export.heads[-1]] for own in found], [own[head] for own in expected])
        if progress:
            progress(f"checking{batching.words}", start + len(batch), len(paths))
    return parity


def _cut(image: Prepared, height: float, width: float) -> Prepared:
    """Return an image of which only these shares are left, as if the rest had never been there."""
    sample = copy.deepcopy(image["data_samples"])
    rows, columns = (max(1, int(share * side)) for share, side in zip((height, width), sample.img_shape, strict=True))
    own = tuple(max(1, int(share * side)) for share, side in zip((height, width), sample.ori_shape, strict=True))
    sample.set_metainfo(dict(img_shape=(rows, columns), ori_shape=own))
    return {"inputs": image["inputs"][:, :rows, :columns], "data_samples": sample}


def _image_files(source: SplitDetections) -> list[Path]:
    """Return the split's images that are there; none if its annotations, which list them, are not."""
    if not Path(annotation_file(source.dataset)).is_file():
        return []
    folder = Path(image_folder(source.dataset))
    return [path for image in source.images["images"] if (path := folder / image["file_name"]).is_file()]
