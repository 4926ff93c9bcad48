"""`rgacli eval`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rgacli.cli import launch
from rgacli.cli.device import use_device
from rgacli.cli.output import print_json, print_table, say
from rgacli.cli.target import (
    TEST_DEV,
    CheckpointOption,
    ConfigOption,
    DataOption,
    JsonOption,
    RunArgument,
    Target,
    find_target,
)
from rgacli.errors import UsageError


def eval(
    context: typer.Context,
    run: RunArgument = None,
    head: Annotated[
        str,
        typer.Option(help="Which to show: 'ensemble', 'all', a head's ratio (1:9) or its index (0 is the first)."),
    ] = "ensemble",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: Annotated[
        Literal["train", "val", "test", "test-dev"],
        typer.Option(
            help="Which part of the dataset; one without 'test' is evaluated on 'val' in its place. 'test-dev' are "
            "COCO's images whose annotations are not public, for --submit.",
        ),
    ] = "test",
    submit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write the detections of --head to FILE, in the format of COCO's server, and evaluate nothing.",
            show_default=False,
        ),
    ] = None,
    gpus: launch.GpusOption = 1,
    nnodes: launch.NnodesOption = 1,
    node_rank: launch.NodeRankOption = 0,
    rdzv_endpoint: launch.RdzvEndpointOption = None,
    launcher: launch.LauncherOption = "none",
    device: launch.DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """COCO AP of a trained detector: of its ensemble, of one R-CNN head, or of all; of boxes and, if any, masks.

    On CrowdHuman: mMR (log-average miss rate, the less the better), AP50 and JI (Jaccard index), as it defines them.

    One forward pass yields every head and the ensemble; the detections of each are saved as COCO results under
    RUN/detections/SPLIT/.
    """
    if submit and head == "all":
        raise UsageError("--submit writes one head's detections: name it by --head (default: the ensemble).")
    if split == TEST_DEV and not submit:
        raise UsageError("--split test-dev has no annotations here to evaluate on: write detections by --submit FILE.")
    use_device(device)
    if launch.run_in_processes(
        context,
        gpus=gpus,
        nnodes=nnodes,
        node_rank=node_rank,
        rdzv_endpoint=rdzv_endpoint,
        launcher=launcher,
        device=device,
    ):
        return

    from rgacli.config.recipe import variant_names
    from rgacli.engine.distributed import together

    with together():
        target = find_target(run, checkpoint, config, data, split)
        names = variant_names(target.cfg)
        shown = select_variants(head, names)
    about = {
        "run": target.name,
        "checkpoint": str(target.checkpoint),
        "split": split,
        "annotations": target.ann_file,
    }
    if submit:
        (variant,) = shown
        written = _submit(target, variant, submit)
        if json:
            print_json({**about, "head": names[variant], "submission": str(submit), **written})
        say(
            f"{submit}: {written['detections']} detections on {written['images']} images, by {names[variant]} of "
            f"{target.name}, {target.checkpoint.name}"
        )
        return
    metrics = target.detect()
    say(f"{target.name}: {target.checkpoint.name} on {target.ann_file}; detections in {target.detections_dir}")
    if json:
        print_json({**about, "heads": {names[variant]: metrics[variant] for variant in shown}})
        return
    rows = [row for variant in shown for row in _rows(names[variant], metrics[variant])]
    print_table(f"{target.name} on {split}", {key: key for key in rows[0]}, rows)


def _rows(name: str, metrics: dict[str, float]) -> Iterator[dict[str, Any]]:
    """A line of the table for a head's boxes, and one for its masks, in the same columns."""
    masks = {key.removeprefix("mask_"): value for key, value in metrics.items() if key.startswith("mask_")}
    yield {"head": name, **{key: value for key, value in metrics.items() if not key.startswith("mask_")}}
    if masks:
        yield {"head": f"{name}, masks", **masks}


def _submit(target: Target, variant: str, path: Path) -> dict[str, Any]:
    """Writes a variant's boxes for COCO's server: how many, on how many images."""
    from mmengine.dist import is_main_process

    from rgacli.evaluation.results import KEYS, save_results

    detections = target.detections(measured=False)[variant]
    if is_main_process():
        save_results(path, [{key: detection[key] for key in KEYS} for detection in detections])
    return {"images": len(target.images["images"]), "detections": len(detections)}


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
    if head.isdecimal() and int(head) < len(heads):
        return [heads[int(head)]]
    by_name = {name: variant for variant, name in names.items()}
    if head in by_name:
        return [by_name[head]]
    if len(heads) == 1:
        raise UsageError(f"--head {head}: this detector has a single head ({names[heads[0]]}); leave out --head.")
    raise UsageError(
        f"--head {head}: this detector has {', '.join(names[variant] for variant in heads)} "
        f"(or their index 0 to {len(heads) - 1}), 'ensemble' and 'all'."
    )
