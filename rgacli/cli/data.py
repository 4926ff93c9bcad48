"""`rgacli data`: drawing the synthetic dataset, preparing CrowdHuman, and checking one's own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.command import Command
from rgacli.cli.output import print_json, print_table, say
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from rgacli.data.check import Problem, SplitReport
    from rgacli.data.crowdhuman import Report
    from rgacli.data.layout import Split

SHOWN = 20  # lines of a kind; --json has them all

app = typer.Typer(
    help="Make the synthetic dataset, prepare CrowdHuman, or check a dataset before training on it.",
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
    max_objects: Annotated[int, typer.Option(min=1, help="The most objects in one image.")] = 40,
) -> None:
    """Draw a dataset of textured shapes in COCO format, a third each with 1-3, 4-7 and 8 or more objects.

    With the defaults it is the embedded dataset, which `rgacli train` uses where none is given.
    """
    from rgacli.data.synthetic import write_dataset

    sizes = {"train": train, "val": val, "test": test}
    with counted("drawing") as progress:
        write_dataset(
            folder, sizes=sizes, image_size=_parse_size(size), seed=seed, max_objects=max_objects, progress=progress
        )
    say(f"{folder}: {', '.join(f'{count} {name}' for name, count in sizes.items())} images of {size}")


@app.command(cls=Command)
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help="Dataset folder: COCO's layout, or annotations/{train,val,test}.json with images/. "
            "Default: the embedded dataset.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Check this split alone, such as val. Repeatable. Default: those of train, val and test that it has.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, each problem included.")] = False,
    train_ann: Annotated[Path | None, typer.Option(help="Training annotations, where DIR does not tell.")] = None,
    val_ann: Annotated[Path | None, typer.Option(help="Validation annotations, where DIR does not tell.")] = None,
    test_ann: Annotated[Path | None, typer.Option(help="Test annotations, where DIR does not tell.")] = None,
    train_images: Annotated[Path | None, typer.Option(help="Training images, where DIR does not tell.")] = None,
    val_images: Annotated[Path | None, typer.Option(help="Validation images, where DIR does not tell.")] = None,
    test_images: Annotated[Path | None, typer.Option(help="Test images, where DIR does not tell.")] = None,
) -> None:
    """Check a dataset: its annotations, and that every image can be decoded and has the size they say.

    Ends with exit code 2 if training on it would fail or learn what is wrong, 0 otherwise, warnings or not.
    """
    from rgacli.data.check import check_dataset
    from rgacli.data.layout import find_splits
    from rgacli.data.synthetic import embedded_dataset

    if folder is None:
        with counted("drawing the embedded dataset") as progress:
            folder = embedded_dataset(progress=progress)
    annotations = {"train": train_ann, "val": val_ann, "test": test_ann}
    images = {"train": train_images, "val": val_images, "test": test_images}
    for name in annotations:
        if split and name not in split and (annotations[name] or images[name]):
            raise UsageError(f"files of {name} are named, which --split leaves out: add --split {name}.")
    splits = find_splits(folder, splits=split, annotations=annotations, images=images)
    with counted("decoding") as progress:
        reports = check_dataset(splits, progress=progress)

    severities = Counter(problem.severity for report in reports.values() for problem in report.problems)
    if as_json:
        print_json(_as_json(folder, splits, reports, ok=not severities["error"]))
    else:
        _print_counts(folder, reports)
        _print_categories(reports)
        _print_problems(reports)
    say(
        f"errors: {severities['error']}, warnings: {severities['warning']}: training on it would "
        + ("fail or learn what is wrong" if severities["error"] else "run")
    )
    if severities["error"]:
        raise typer.Exit(UsageError.exit_code)


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
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, each problem included.")] = False,
) -> None:
    """Prepare CrowdHuman for training on full bodies: COCO annotations beside its official files.

    Unpacks what is not unpacked yet, and looks at every image. Ends with exit code 2, and annotations unwritten, if
    one is missing or unreadable. A dataset prepared by it is evaluated by CrowdHuman's own metrics (eval).
    """
    from rgacli.data.crowdhuman import prepare

    with counted("preparing") as progress:
        reports = prepare(folder, splits=split, progress=progress)
    problems = sum(len(report.problems) for report in reports.values())
    if as_json:
        splits = {
            name: {
                **asdict(report),
                "annotation_file": str(report.annotation_file),
                "image_folder": str(report.image_folder),
            }
            for name, report in reports.items()
        }
        print_json({"dataset": str(folder), "ok": not problems, "splits": splits})
    else:
        rows = [
            {"split": name, **asdict(report), "persons_per_image": report.persons / report.images}
            for name, report in reports.items()
        ]
        columns = ("split", "images", "persons", "ignored", "persons_per_image")
        print_table(f"{folder}: full bodies", {name: name.replace("_", " ") for name in columns}, rows)
        _print_problems(reports)
    if problems:
        say(f"errors: {problems}; nothing was written")
        raise typer.Exit(UsageError.exit_code)
    say(f"wrote {', '.join(str(report.annotation_file) for report in reports.values())}")


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise UsageError(f"--size {text}: not a width and a height, such as 160x128")
    return int(match[1]), int(match[2])


def _as_json(
    folder: Path, splits: Mapping[str, Split], reports: Mapping[str, SplitReport], *, ok: bool
) -> dict[str, Any]:
    return {
        "dataset": str(folder),
        "ok": ok,
        "splits": {
            name: {
                "annotation_file": str(splits[name].annotations),
                "image_folder": str(splits[name].images),
                **asdict(report),
            }
            for name, report in reports.items()
        },
    }


def _print_counts(folder: Path, reports: Mapping[str, SplitReport]) -> None:
    bins = next(iter(reports.values())).gt_counts
    print_table(
        f"{folder}: images by number of objects",
        {"split": "split", "images": "images", "objects": "objects", **{name: name for name in bins}},
        [
            {"split": name, "images": report.images, "objects": report.objects, **report.gt_counts}
            for name, report in reports.items()
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
