"""Measuring a trained detector: its ensemble, one of its heads, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mmengine.dist import is_main_process

from rgacli.api.looks import SCORE, SHOW_COUNT, Looks
from rgacli.api.parameters import tiling_of
from rgacli.config.recipe import variant_names
from rgacli.data.coco_layouts import TEST_DEV
from rgacli.engine.device import Device, on_device
from rgacli.engine.distributed import together
from rgacli.errors import UsageError
from rgacli.evaluation.classwise import ClassMetrics
from rgacli.evaluation.max_dets import MaxDets
from rgacli.evaluation.results import KEYS, save_results
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.evaluation.tiled import TiledViews
from rgacli.evaluation.tiles import OVERLAP, Tiling
from rgacli.evaluation.tta import TestTimeAugmentation
from rgacli.evaluation.views import Views
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, select_variants
from rgacli.progress import Progress
from rgacli.trained import find_trained
from rgacli.wording import param


@dataclass(frozen=True)
class EvalResult:
    """What a detector's heads are worth on a split.

    Attributes:
        run: The run's (or checkpoint's) name.
        checkpoint: The weights.
        split: What was evaluated: "val" where the dataset has no test.
        annotations: The split's annotation file.
        heads: Head ("1:9", "ensemble", …) -> metric -> value: COCO's AP, AP50, AP75, APs, APm, APl, and mask_AP,
            mask_AP50, mask_AP75 where there are masks; mMR, AP50, JI on CrowdHuman. In [0, 1], NaN where unknown.
        detections: Folder of all heads' detections in COCO's results format.
        max_dets: How many detections of an image count, and why.
        views: How images were looked at: "tta", "tiles-512-0.2" (by side and overlap); None is once and whole.
        classes: Each class by the same heads, where it is asked for. This and what follows: of a job of several
            processes, rank 0 has it.
        figures: PNGs that were drawn, each with its numbers beside it, as CSV.
        shown: Folder of the pictures of images.
    """

    run: str
    checkpoint: Path
    split: str
    annotations: str
    heads: Mapping[str, Mapping[str, float]]
    detections: Path
    max_dets: MaxDets
    views: str | None = None
    classes: Sequence[ClassMetrics] = ()
    figures: Sequence[Path] = ()
    shown: Path | None = None


@dataclass(frozen=True)
class Submission:
    """Detections in the format of COCO's server.

    Attributes:
        run, checkpoint, split, annotations: As for EvalResult.
        head: Whose detections.
        submission: The file.
        images: Of the split.
        detections: In the file.
    """

    run: str
    checkpoint: Path
    split: str
    annotations: str
    head: str
    submission: Path
    images: int
    detections: int


def evaluate(
    run: str | Path | None = None,
    *,
    head: str = ENSEMBLE,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test", "test-dev"] = "test",
    submit: Path | None = None,
    max_dets: int | None = None,
    tta: bool = False,
    tiles: int | None = None,
    tile_overlap: float = OVERLAP,
    per_class: bool = False,
    plots: bool = False,
    show_dir: Path | None = None,
    show_count: int = SHOW_COUNT,
    score: float = SCORE,
    safe: bool = False,
    device: Device = "auto",
    progress: Progress | None = None,
) -> EvalResult | Submission:
    """Run a detector over a split and measure its boxes and, if any, masks, by COCO's metrics or CrowdHuman's.

    One forward pass yields every head and the ensemble; the detections of each are saved as COCO results under
    RUN/detections/SPLIT/. In a job of several processes, each calls it alike and takes its share of the images.

    Args:
        run: A run's name or folder; the latest without.
        head: "ensemble", "all", a head's ratio ("1:9") or its index ("0" is the first).
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place. "test-dev" are COCO's images
            whose annotations are not public, for `submit`.
        submit: File to write the head's detections to, in the format of COCO's server; nothing is measured.
        max_dets: Detections of an image that count, those of the highest scores; by default the benchmark's own number
            (COCO's 100, CrowdHuman's 500) or, where an image has more objects, the next hundred above the densest.
            The detector's own limits are raised to it.
        tta: Look at each image at several sizes and flipped, and merge what is found (test-time augmentation): by the
            config's own `tta_pipeline` and `tta_model`, if it has them. Its detections have a folder of their own.
        tiles: Cut images that are larger into tiles of this side (px), detect on each and on the whole, and merge: for
            small objects in large images. Needs the package sahi. Its detections have a folder of their own.
        tile_overlap: Of neighbouring tiles, as a share of their side; at least as large as most objects.
        per_class: Measure each class as well: COCO's AP and AP50.
        plots: Draw precision over recall and a confusion matrix of each head's boxes, into RUN/figures/SPLIT/.
        show_dir: Folder for pictures of images: what was found on them beside their ground truth.
        show_count: Number of those pictures, spread evenly over the split.
        score: The least of the detections that `show_dir` draws and the confusion matrix counts; AP takes all.
        safe: Run nothing of the config, which is Python: it is read as one of literals, and refused if it says more.
            For detectors of somebody else's. A checkpoint runs no code in any case.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch.

    Returns:
        A Submission with `submit`, else an EvalResult.

    Raises:
        UsageError, DataError: the detector, the head or the split cannot be used.
    """
    looks = Looks(per_class=per_class, plots=plots, show_dir=show_dir, show_count=show_count, score=score)
    if submit and head == "all":
        raise UsageError(f"{param('submit')} writes one head's detections: name it by {param('head')}.")
    if submit and looks.asked:
        raise UsageError(f"{param('submit')} evaluates nothing: leave out {param(looks.asked[0])}.")
    if split == TEST_DEV and not submit:
        raise UsageError(
            f"{param('split', split)} has no annotations here to evaluate on: write detections by {param('submit')}."
        )
    views = _views(tta, tiling_of(tiles, tile_overlap))
    with on_device(device):
        with together():
            trained = find_trained(run, checkpoint, config, which=which, safe=safe)
            found = SplitDetections.of(trained, split, data, max_dets=max_dets, views=views)
            names = variant_names(found.cfg)
            shown = select_variants(head, names)
            looks.require_places(found)
        about = dict(run=found.name, checkpoint=found.checkpoint, split=found.split, annotations=found.ann_file)
        if submit:
            return _submit(found, shown[0], names[shown[0]], submit, about, progress)
        metrics = found.detect(progress=progress)
    tell(f"{found.name}: {found.checkpoint.name} on {found.ann_file}; detections in {found.folder}")
    heads = {names[variant]: metrics[variant] for variant in shown}
    about |= dict(detections=found.folder, max_dets=found.max_dets, views=views and views.name)
    result = EvalResult(**about, heads=heads)
    if not looks.asked or not is_main_process():
        return result
    saved = found.just_made()
    classes = looks.take(found, {names[variant]: saved[variant] for variant in shown}, progress)
    return replace(result, classes=classes, figures=looks.figures(found), shown=show_dir)


def _views(tta: bool, tiling: Tiling | None) -> Views | None:
    if tta and tiling:
        raise UsageError(f"{param('tta')} and {param('tiles')} do not go together: leave out one of them.")
    return TiledViews(tiling) if tiling else TestTimeAugmentation() if tta else None


def _submit(
    found: SplitDetections, variant: str, head: str, path: Path, about: dict, progress: Progress | None
) -> Submission:
    detections = found.load(measured=False, progress=progress)[variant]
    if is_main_process():
        save_results(path, [{key: detection[key] for key in KEYS} for detection in detections])
    images = len(found.images["images"])
    tell(f"{path}: {len(detections)} detections on {images} images, by {head} of {found.name}, {found.checkpoint.name}")
    return Submission(**about, head=head, submission=path, images=images, detections=len(detections))
