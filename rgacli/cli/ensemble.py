"""`rgacli ensemble`."""

from __future__ import annotations

from math import isnan
from typing import Annotated

import typer

from rgacli.cli.device import DeviceOption, use_device
from rgacli.cli.output import print_json, print_table
from rgacli.cli.target import (
    CheckpointOption,
    ConfigOption,
    DataOption,
    JsonOption,
    RunArgument,
    SplitOption,
    find_target,
)
from rgacli.errors import UsageError


def ensemble(
    run: RunArgument = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[int, typer.Option(min=2, help="Bootstrap samples of images behind each interval.")] = 200,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """The heads of one detector side by side, and what their average ensemble gains over each.

    The average ensemble averages the heads' class logits before softmax and takes the boxes of the head with the
    highest positive ratio (paper, Sec. 3.2). Gains come with 95 % bootstrap intervals over images.
    """
    use_device(device)
    target = find_target(run, checkpoint, config, data, split)

    from rgacli.core.ensembling import ENSEMBLE
    from rgacli.evaluation.coco_metrics import METRICS, difference, evaluate
    from rgacli.evaluation.detect import variant_names

    names = variant_names(target.cfg)
    if ENSEMBLE not in names:
        raise UsageError(f"{target.name} has a single head ({', '.join(names.values())}): nothing to ensemble.")
    annotations = target.annotations
    evaluations = {variant: evaluate(annotations, found) for variant, found in target.detections().items()}
    rows = []
    for variant, evaluation in evaluations.items():
        row = {"head": names[variant], **evaluation.overall}
        if variant != ENSEMBLE:
            gain = difference(evaluation, evaluations[ENSEMBLE], samples=bootstrap)
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
        rows.append(row)
    if json:
        print_json({"run": target.name, "split": split, "annotations": target.ann_file, "heads": rows})
        return
    for row in rows:
        if "gain" in row:
            half = row["gain_high"] - row["gain"]  # NaN on a single image
            row["gained"] = f"{row['gain']:+.3f}" + ("" if isnan(half) else f" ± {half:.3f}")
    columns = {"head": "head", **{metric: metric for metric in METRICS}, "gained": "ensemble gains"}
    print_table(f"{target.name} on {split}: what the average ensemble gains over each head (AP ± 95 %)", columns, rows)
