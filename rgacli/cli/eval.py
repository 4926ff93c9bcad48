"""`rgacli eval`."""

from __future__ import annotations

from typing import Annotated

import typer

from rgacli.cli.device import DeviceOption, use_device
from rgacli.cli.output import print_json, print_table, say
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


def eval(
    run: RunArgument = None,
    head: Annotated[
        str,
        typer.Option(help="Which to show: 'ensemble', 'all', a head's ratio (1:9) or its index (0 is the first)."),
    ] = "ensemble",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """COCO AP of a trained detector: of its ensemble, of one R-CNN head, or of all.

    One forward pass yields every head and the ensemble; the detections of each are saved as COCO results under
    RUN/detections/SPLIT/.
    """
    use_device(device)
    target = find_target(run, checkpoint, config, data, split)

    from rgacli.evaluation.coco_metrics import METRICS
    from rgacli.evaluation.detect import variant_names

    names = variant_names(target.cfg)
    shown = select_variants(head, names)
    metrics = target.detect()
    say(f"{target.name}: {target.checkpoint.name} on {target.ann_file}; detections in {target.detections_dir}")
    if json:
        print_json(
            {
                "run": target.name,
                "checkpoint": str(target.checkpoint),
                "split": split,
                "annotations": target.ann_file,
                "heads": {names[variant]: metrics[variant] for variant in shown},
            }
        )
        return
    rows = [{"head": names[variant], **metrics[variant]} for variant in shown]
    print_table(f"{target.name} on {split}", {"head": "head", **{metric: metric for metric in METRICS}}, rows)


def select_variants(head: str, names: dict[str, str]) -> list[str]:
    """The variants that --head means.

    Args:
        head: "ensemble", "all", a head's name ("1:9", "1:1#2") or its index.
        names: Variant -> name, heads in their order.

    Raises:
        UsageError: there is no such head; says which there are.
    """
    variants = list(names)
    heads = [variant for variant in variants if variant != "ensemble"]
    if head == "all":
        return variants
    if head == "ensemble":
        return variants[-1:]  # of a single head, the ensemble is that head
    if head.isdigit() and int(head) < len(heads):
        return [heads[int(head)]]
    by_name = {name: variant for variant, name in names.items()}
    if head in by_name:
        return [by_name[head]]
    raise UsageError(
        f"--head {head}: this detector has {', '.join(names[variant] for variant in heads)} "
        f"(or their index 0 to {len(heads) - 1}), 'ensemble' and 'all'."
    )
