"""What a dataset's annotations say before any training, and which ratios they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rgacli.analysis.dataset.finding import DatasetFinding, collect
from rgacli.analysis.dataset.ratio_choice import CANDIDATES, Sampling, late_positives
from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.config.catalogue import default_config
from rgacli.data.annotations import load_with_objects
from rgacli.data.layout import recognise
from rgacli.data.synthetic import embedded_dataset
from rgacli.errors import UsageError
from rgacli.method import parse_ratios
from rgacli.progress import Progress
from rgacli.wording import param


def analyze_dataset(
    folder: Path | None = None,
    *,
    split: Literal["train", "val", "test"] | None = None,
    split_by: str | None = None,
    ratios: str | Sequence[str] = CANDIDATES,
    config: str | None = None,
    rois: int | None = None,
    proposals: int | None = None,
    positives_per_object: float | None = None,
    out: Path | None = None,
    style: StyleName = "screen",
    progress: Progress | None = None,
) -> Analysis:
    """Look at a dataset before any training: objects per image, sizes, classes, and sampling ratios to try.

    Only annotations are read. The ratios are a rule of thumb (`rgacli.analysis.dataset.ratio_choice`), which held
    in part where it was tried.

    Args:
        folder: In a layout of COCO, Roboflow, YOLO or Pascal VOC, or one COCO file, whose images need not be there;
            the embedded dataset without.
        split: Of the dataset; by default "train" or, where there is none, the first that there is.
        split_by: Shares of train, val and test, as "80:10:10", of a dataset that is not divided.
        ratios: To choose from; by default those of the paper, 1:1 to 1:9.
        config: What is to be trained; by default what `train` takes on this dataset.
        rois: Of an image that are sampled for a head; by default the config's: 512 in the paper's.
        proposals: Of an image that the RPN passes on in training; by default the config's: 1000 in the paper's.
        positives_per_object: Positives that an object yields late in training, the ground truth included; by default
            1 + 0.38 √proposals, as measured: 13.0 of 1000 proposals.
        out: Folder of the figure; by default figures/DATASET/SPLIT.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        progress: Told of each image that is read to convert the annotations.

    Returns:
        Rows are `rgacli.analysis.dataset.rows.Row`, one per ratio.

    Raises:
        UsageError, DataError: the dataset is not there, malformed or without objects, a number is out of range, or the
            config samples no RoIs.
    """
    require_style(style)
    if rois is None or proposals is None:
        from rgacli.config.files import load_config  # here, since numbers that are given need no mmengine
        from rgacli.config.recipe import rois_and_proposals

        drawn, passed_on = rois_and_proposals(load_config(config or default_config(folder)))
        rois = drawn if rois is None else rois
        proposals = passed_on if proposals is None else proposals
    elif config:
        raise UsageError(f"{param('config', config)} tells {param('rois')} and {param('proposals')}: leave one out.")
    per_object = late_positives(max(proposals, 1)) if positives_per_object is None else positives_per_object
    sampling = Sampling(rois, proposals, per_object)
    candidates = tuple(dict.fromkeys(parse_ratios(ratios)))
    if unsampled := [ratio for ratio in candidates if not sampling.quota(ratio)]:
        raise UsageError(f"{param('ratios')}: of {rois} RoIs, a head at {unsampled[0]} would sample no positive.")
    root = embedded_dataset(progress=progress) if folder is None else Path(folder)
    name, annotations = _annotations(root, split, split_by, progress)
    path = place(DatasetFinding, out or Path("figures") / root.absolute().stem / name)
    content = load_with_objects(annotations, name)
    return publish(collect(content, candidates, sampling, dataset=root.absolute().name, split=name), path, style)


def _annotations(root: Path, split: str | None, split_by: str | None, progress: Progress | None) -> tuple[str, Path]:
    """Return the name of a split, and its annotation file."""
    if root.suffix.lower() == ".json" and root.is_file() and not split_by:
        if split:
            raise UsageError(
                f"{root} is one file: {param('split', split)} goes with a dataset, or with "
                f"{param('split_by', '80:10:10')}."
            )
        return "all", root
    found = recognise(root, splits=[split] if split else None, split_by=split_by, progress=progress).splits
    name = split or ("train" if "train" in found else next(iter(found)))
    return name, found[name].annotations
