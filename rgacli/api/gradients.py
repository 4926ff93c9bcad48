"""What R-CNN heads send into the shared backbone, along their trainings or at checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.parameters import require_at_least, require_used
from rgacli.api.subjects import detectors_on_split, figures_folder, logged_figures, logs_of
from rgacli.progress import Progress

if TYPE_CHECKING:
    from rgacli.engine.device import Device


def gradients(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    measure: int | None = None,
    weight: str | None = None,
    seed: int = 0,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "train",
    out: Path | None = None,
    style: StyleName = "screen",
    device: Device = "auto",
    progress: Progress | None = None,
) -> Analysis:
    """Compare what each R-CNN head sends into a weight of the shared backbone (paper, Sec. 3.3 and Fig. 5).

    Shown are the norms of the heads' gradients, the norm of their sum and the sum of their norms, and the angle between
    them; with a mask head the same of box and mask branch. Their sum is never longer than they are together: what tells
    is by how much it is shorter. Two heads of one ratio differ as well, by the RoIs that they draw (ratios "1:1,1:1").

    It is read from the log of a run that was trained with `probe_gradients`. Any other is measured now, on batches as
    in training.

    Args:
        runs: A run's name or folder, or several to overlay; the latest run without.
        measure: Measure on so many images at a checkpoint, in place of reading the log.
        weight: Of the backbone; with `measure`. By default the paper's "layer4.0.conv1", or in a backbone without it
            the first of its last stage.
        seed: Of batches, augmentation and sampling; with `measure`, as all that follow but `out` and `style`.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        out: Folder of the figure; by default RUN/figures, of several runs figures/; with `measure`, SPLIT/ in there.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch.

    Returns:
        Rows are `rgacli.analysis.gradients.rows.Row`.

    Raises:
        UsageError, DataError: a run logged no gradients, or the detector, its weight or the split cannot be used.
    """
    require_style(style)
    if measure is None:
        for name, value in dict(weight=weight, checkpoint=checkpoint, config=config, data=data).items():
            require_used(name, value, None, measure=False)
        for name, value, own in (
            ("seed", seed, 0),
            ("which", which, "last"),
            ("split", split, "train"),
            ("device", device, "auto"),
        ):
            require_used(name, value, own, measure=False)
        return _logged(runs, out, style)
    require_at_least(1, measure=measure)
    # Here, as torch is imported by them.
    from rgacli.analysis.gradients.finding import Gradients, collect
    from rgacli.analysis.gradients.probes import probes_of
    from rgacli.engine.device import on_device
    from rgacli.evaluation import head_gradients

    with on_device(device):
        detectors = detectors_on_split(runs, which=which, checkpoint=checkpoint, config=config, data=data, split=split)
        path = place(Gradients, out or figures_folder(detectors))
        probes, images = [], []
        for name, detector in detectors.items():
            found = head_gradients.measure(detector, measure, weight=weight, seed=seed, progress=progress)
            images.append(found.images)
            probes.append(probes_of(name, found.weight, dict(enumerate(found.batches, start=1))))
    measured = f"{_range(images)} images of {next(iter(detectors.values())).split}"
    return publish(collect(probes, measured=measured), path, style)


def _range(images: Sequence[int]) -> str:
    least, most = min(images), max(images)  # runs of other batch sizes are measured on other numbers
    return str(least) if least == most else f"{least} to {most}"


def _logged(runs: str | Path | Sequence[str | Path] | None, out: Path | None, style: StyleName) -> Analysis:
    logs = logs_of(runs)
    from rgacli.analysis.gradients.finding import Gradients, collect
    from rgacli.analysis.gradients.probes import read, require_probes

    probes = [require_probes(log.name, read(log.name, log.cfg, log.lines)) for log in logs]
    path = place(Gradients, out or logged_figures(logs))
    return publish(collect(probes), path, style)
