"""Collecting what a trained detector's heads say of its RPN's proposals."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rgacli.analysis.forward import model_and_batches
from rgacli.analysis.scores.rows import BY_CLASS, FOREGROUND, MIN_SCORE, HeadScores
from rgacli.analysis.scores.tally import ScoreTally
from rgacli.config.recipe import parallel_ratios
from rgacli.data.annotations import gt_counts
from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.method import head_names
from rgacli.modeling.head_scores import scores_of_images
from rgacli.progress import Progress


def collect(
    detector: SplitDetections,
    bins: Sequence[GTBin],
    *,
    run: str = "",
    min_score: float = MIN_SCORE,
    progress: Progress | None = None,
) -> HeadScores:
    """Run a detector over a split, up to its heads' scores, and count these.

    Args:
        detector: With parallel heads, and the split.
        bins: Bins that do not overlap.
        run: What the detector is called; by default its own name.
        min_score: An output counts if any head scores it so high.
        progress: Told of each image.

    Raises:
        UsageError, DataError: the checkpoint, the split or its annotations cannot be used; there is only one head.
    """
    require_heads(detector)
    counts = gt_counts(detector.annotations)
    ratios = parallel_ratios(detector.cfg)
    order = sorted(range(len(ratios)), key=lambda k: -ratios[k].positive_fraction)
    tallies = {score: ScoreTally(order, bins) for score in (BY_CLASS, FOREGROUND)}
    model, batches = model_and_batches(detector)
    for done, (image_id, scores) in enumerate(scores_of_images(model, batches), start=1):
        for score, tally in tallies.items():
            counted = outputs(scores, score, min_score)
            tally.add(image_id, counts[image_id], counted.cpu().numpy())
        if progress:
            progress("scores", done, len(batches.dataset))
    return HeadScores(run or detector.name, head_names(ratios), tallies)


def require_heads(detector: SplitDetections) -> None:
    """Raise a UsageError unless the detector has several parallel heads."""
    ratios = parallel_ratios(detector.cfg)
    if len(ratios) < 2:
        raise UsageError(
            f"{detector.name} has a single R-CNN head, so there is nothing to compare its scores with: name runs with "
            "parallel heads."
        )


def outputs(scores: Tensor, kind: str, min_score: float) -> Tensor:
    """Return the scores (K, M) that the heads give to the outputs that any of them scores at least `min_score`.

    Args:
        scores: (K, P, C+1), the background last.
        kind: BY_CLASS, an output for each of the P boxes and C classes; FOREGROUND, one for each box.
        min_score: What one head's score has to reach.
    """
    found = scores[..., :-1].flatten(1) if kind == BY_CLASS else 1 - scores[..., -1]
    return found[:, (found >= min_score).any(dim=0)]
