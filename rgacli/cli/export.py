"""`rgacli export`."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rgacli
from rgacli.cli.eval import select_variants
from rgacli.cli.output import print_json, say
from rgacli.cli.target import CheckpointOption, ConfigOption, JsonOption, RunArgument, find_target
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from rgacli.cli.target import Target

app = typer.Typer(
    help="Hand a trained detector on as a stock mmdet model, which takes none of rgacli to run.", no_args_is_help=True
)

OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False, help="Folder to write into. Default: RUN/export/fold or RUN/export/HEAD.", show_default=False
    ),
]


@app.command()
def fold(
    run: RunArgument = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Fold all heads into one that detects as their average ensemble does, exactly (to rounding).

    K heads of fully connected layers become one head K times as wide, at every stage of a cascade. Heads with
    convolutions or norms do not fold.
    """
    _export(find_target(run, checkpoint, config, None, "test"), None, out, json)


@app.command()
def head(
    which: Annotated[str, typer.Option("--head", help="The head: its ratio (1:9) or its index (0 is the first).")],
    run: RunArgument = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Take one head alone, as a stock detector of the size of the baseline."""
    from rgacli.evaluation.detect import variant_names

    target = find_target(run, checkpoint, config, None, "test")
    names = variant_names(target.cfg)
    chosen = select_variants(which, names)
    if which in ("all", "ensemble"):
        raise UsageError(f"--head {which}: this exports one head; `rgacli export fold` exports the ensemble.")
    _export(target, list(names).index(chosen[0]), out, json)


def _export(target: Target, head: int | None, out: Path | None, json: bool) -> None:
    from rgacli.core.ratios import slug
    from rgacli.core.recipe import describe_method, parallel_ratios
    from rgacli.core.stock_export import CHECKPOINT, CONFIG, export_stock
    from rgacli.data.annotations import category_names
    from rgacli.evaluation.detect import saved_metrics, variant_names

    ratios = parallel_ratios(target.cfg)
    names = list(variant_names(target.cfg))
    variant = names[-1 if head is None else head]
    folder = out or target.home / "export" / ("fold" if head is None else slug(variant))
    metrics = saved_metrics((target.cfg, target.checkpoint), target.ann_file, target.detections_dir)
    provenance: dict[str, Any] = {
        "rgacli": rgacli.__version__,
        "run": target.name,
        "checkpoint": target.checkpoint.name,
        "trained": describe_method(target.cfg),
        "ratios": [str(ratio) for ratio in ratios],
        "exported": variant,
        "metrics": {name: value for name, value in metrics.get(variant, {}).items() if not isnan(value)},
    }
    classes = tuple(category_names(target.images).values())
    export_stock(
        target.cfg,
        target.checkpoint,
        folder,
        head=head,
        classes=classes,
        ann_file=target.ann_file,
        provenance=provenance,
    )
    say(f"{target.name}: {'all heads folded into one' if head is None else variant}; in stock mmdet:")
    say(f'  init_detector("{folder / CONFIG}", "{folder / CHECKPOINT}")')
    if json:
        print_json({"config": str(folder / CONFIG), "checkpoint": str(folder / CHECKPOINT), "provenance": provenance})
