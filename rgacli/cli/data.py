"""`rgacli data`: drawing the synthetic dataset, preparing CrowdHuman, checking and converting one's own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import LAYOUTS, JsonOption, SplitByOption
from rgacli.cli.output import print_json, print_table, say
from rgacli.cli.progress import live_progress
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from rgacli.api.data import CheckResult, CrowdHumanResult
    from rgacli.data.check import Problem, SplitReport
    from rgacli.data.crowdhuman import Report

SHOWN = 20  # lines of a kind; --json has them all

app = typer.Typer(
    name="data",
    help="Make the synthetic dataset, prepare CrowdHuman, check a dataset before training on it, or convert one.",
    no_args_is_help=True,
)


@app.command(cls=Command)
def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder to write into.")],
    train: Annotated[int, typer.Option(min=0, help="Images to train on.")] = 400,
    val: Annotated[int, typer.Option(min=0, help="Images to validate on.")] = 100,
    test: Annotated[int, typer.Option(min=0, help="Images to test on.")] = 100,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height of the images in pixels.")] = "160x128",
    seed: Annotated[int, typer.Option(min=0, help="Decides every image: the same seed draws the same ones.")] = 0,
    max_objects: Annotated[
        int, typer.Option(min=1, help="The most objects in one image; 150 find room in about 384x320 pixels.")
    ] = 40,
    median_objects: Annotated[
        int, typer.Option(min=1, help="The number that half the images stay at or below: 5 as in COCO, 100 for crowds.")
    ] = 5,
) -> None:
    """Draw a dataset of textured shapes in COCO format, a third each with 1-3, 4-7 and 8 or more objects.

    With the defaults it is the embedded dataset, which `rgacli train` uses where none is given.
    """
    from rgacli.api.data import synth_dataset

    with live_progress() as progress:
        synth_dataset(
            folder,
            train=train,
            val=val,
            test=test,
            size=size,
            seed=seed,
            max_objects=max_objects,
            median_objects=median_objects,
            progress=progress,
        )
    say(f"{folder}: {train} train, {val} val, {test} test images of {size}")


@app.command(cls=Command)
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help=f"Dataset: {LAYOUTS} (--split-by). Default: the embedded dataset.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Check this split alone, such as val. Repeatable. Default: those of train, val and test that it has.",
            show_default=False,
        ),
    ] = None,
    train_ann: Annotated[Path | None, typer.Option(help="Training annotations, where DIR does not tell.")] = None,
    val_ann: Annotated[Path | None, typer.Option(help="Validation annotations, where DIR does not tell.")] = None,
    test_ann: Annotated[Path | None, typer.Option(help="Test annotations, where DIR does not tell.")] = None,
    train_images: Annotated[Path | None, typer.Option(help="Training images, where DIR does not tell.")] = None,
    val_images: Annotated[Path | None, typer.Option(help="Validation images, where DIR does not tell.")] = None,
    test_images: Annotated[Path | None, typer.Option(help="Test images, where DIR does not tell.")] = None,
    split_by: SplitByOption = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Warn of images with more objects than the limits of this config let be detected: a bundled name, "
            "mmdet::… or a file. Default: COCO's 100, as most configs have.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check a dataset: its layout, its annotations, and that every image can be decoded and has the size they say.

    Ends with exit code 2 if training on it would fail or learn what is wrong, 0 otherwise, warnings or not.
    """
    from rgacli.api.data import check_dataset

    with live_progress() as progress:
        result = check_dataset(
            folder,
            split=split,
            train_ann=train_ann,
            val_ann=val_ann,
            test_ann=test_ann,
            train_images=train_images,
            val_images=val_images,
            test_images=test_images,
            split_by=split_by,
            config=config,
            progress=progress,
        )
    if json:
        print_json(asdict(result))
    else:
        _print_counts(result)
        _print_categories(result.splits)
        _print_problems(result.splits)
    found = Counter(problem.severity for report in result.splits.values() for problem in report.problems)
    say(
        f"errors: {found['error']}, warnings: {found['warning']}: training on it would "
        + ("run" if result.ok else "fail or learn what is wrong")
    )
    if not result.ok:
        raise typer.Exit(UsageError.exit_code)


@app.command(cls=Command)
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=f"Dataset: {LAYOUTS} (--split-by).")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="A new or empty folder to write into.")],
    to: Annotated[
        Literal["coco", "yolo"],
        typer.Option(
            help="Format: 'coco' is annotations/SPLIT.json and images/SPLIT/; 'yolo' is data.yaml, images/SPLIT/ and "
            "labels/SPLIT/, with polygons where every object has one, else boxes."
        ),
    ] = "coco",
    split_by: SplitByOption = None,
    images: Annotated[
        Literal["copy", "link"], typer.Option(help="Copy the images, or link to where they are.")
    ] = "copy",
    json: JsonOption = False,
) -> None:
    """Write a dataset in COCO's format or YOLO's, from any layout that --data takes.

    DST is written whole or not at all.
    """
    from rgacli.api.data import convert_dataset

    with live_progress() as progress:
        result = convert_dataset(source, destination, to=to, split_by=split_by, images=images, progress=progress)
    if json:
        print_json(asdict(result))
    else:
        columns = ("split", "images", "objects", "crowds_left_out")
        print_table(
            f"{source} ({result.layout}), written to {result.dataset}",
            {name: name.replace("_", " ") for name in columns},
            [{"split": name, **asdict(written)} for name, written in result.splits.items()],
        )
    if result.masks == "boxes":
        say("masks: boxes were written in their place, since some object's mask is not one polygon")


@app.command(cls=Command)
def crowdhuman(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of annotation_train.odgt, annotation_val.odgt, and Images/ or the archives as downloaded.",
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Prepare this split alone, train or val. Repeatable. Default: those whose annotations are there.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Prepare CrowdHuman for training on full bodies: COCO annotations beside its official files.

    Unpacks what is not unpacked yet, and looks at every image. Ends with exit code 2, and annotations unwritten, if
    one is missing or unreadable. A dataset prepared by it is evaluated by CrowdHuman's own metrics (eval).
    """
    from rgacli.api.data import prepare_crowdhuman

    with live_progress() as progress:
        result = prepare_crowdhuman(folder, split=split, progress=progress)
    if json:
        print_json(asdict(result))
    else:
        _print_persons(result)
        _print_problems(result.splits)
    if not result.ok:
        say(f"errors: {sum(len(report.problems) for report in result.splits.values())}; nothing was written")
        raise typer.Exit(UsageError.exit_code)
    say(f"wrote {', '.join(str(report.annotation_file) for report in result.splits.values())}")


def _print_counts(result: CheckResult) -> None:
    bins = next(iter(result.splits.values())).gt_counts
    print_table(
        f"{result.dataset} ({result.layout}): images by number of objects",
        {"split": "split", "images": "images", "objects": "objects", **{name: name for name in bins}},
        [{"split": name, **asdict(report), **report.gt_counts} for name, report in result.splits.items()],
    )


def _print_persons(result: CrowdHumanResult) -> None:
    columns = ("split", "images", "persons", "ignored", "persons_per_image")
    print_table(
        f"{result.dataset}: full bodies",
        {name: name.replace("_", " ") for name in columns},
        [
            {"split": name, **asdict(report), "persons_per_image": report.persons / report.images}
            for name, report in result.splits.items()
        ],
    )


def _print_categories(reports: Mapping[str, SplitReport]) -> None:
    rows: dict[tuple[int, str], dict[str, Any]] = defaultdict(dict)
    for split, report in reports.items():
        for category in report.categories:
            rows[category.id, category.name][split] = category.objects
    most = sorted(rows, key=lambda category: -sum(rows[category].values()))[:SHOWN]
    print_table(
        "objects per category" + (f", the {SHOWN} most frequent of {len(rows)}" if len(rows) > SHOWN else ""),
        {"id": "id", "name": "category", **{split: split for split in reports}},
        [{"id": category[0], "name": category[1], **rows[category]} for category in most],
    )


def _print_problems(reports: Mapping[str, SplitReport | Report]) -> None:
    groups: dict[tuple[str, str, str], list[Problem]] = defaultdict(list)
    for split, report in reports.items():
        for problem in report.problems:
            groups[problem.severity, split, problem.kind].append(problem)
    for (severity, split, kind), problems in sorted(groups.items(), key=lambda group: group[0][0]):  # errors first
        print(f"{severity}: {split}: {kind} ({len(problems)})")
        for problem in problems[:SHOWN]:
            print(f"  {problem.where}: {problem.what}")
        if len(problems) > SHOWN:
            print(f"  and {len(problems) - SHOWN} more")
