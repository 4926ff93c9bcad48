import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rgacli.api.ensemble import EnsembleResult, MemberRow, MethodRow
from rgacli.ensembles.costs import Timing
from rgacli.ensembles.dispatch import Calibration
from rgacli.evaluation.max_dets import MaxDets
from rgacli.method import ENSEMBLING_METHODS
from tests.cli.commands import RUN, error_line, invoke, snapshot

HEADS = ["1:1", "1:9"]
ROW = {"name", "AP", "AP50", "AP75", "bins", "difference", "difference_low", "difference_high"}
COSTS = {"parameters", "added_seconds"}
BINS = {"1-3": 0.25, "4+": 0.5}
FOUND = EnsembleResult(
    run="base",
    split="test",
    annotations="test.json",
    max_dets=MaxDets(200, "COCO", 100, 150, "densest"),
    reference="ensemble",
    images={"1-3": 3, "4+": 1},
    figure=Path("figures/ensembles.png"),
    detections=Path("detections"),
    members=[
        MemberRow("1:1", 0.5, 0.7, 0.4, BINS, -0.125, -0.2, -0.05, 1_234_567, None, 0.125, 0.05, 0.2),
        MemberRow("1:9", 0.6, 0.8, 0.5, BINS, -0.025, float("nan"), float("nan"), 1_234_567, None, 0.025, None, None),
    ],
    methods=[
        MethodRow("ensemble", 0.625, 0.9, 0.5, BINS, None, None, None, 2_345_678, 0.0012),
        MethodRow("oracle", 0.75, 0.9, 0.5, BINS, 0.125, 0.025, 0.225, None, None),
    ],
    timing=Timing(single_seconds=0.05, images=7, device="CPU, 1 thread"),
    dispatch=Calibration(0.25, 1.5, {"1-3": "tilt-2", "4+": "ensemble"}, "val.json"),
    oracle={"all": "1:9", "1-3": "1:1", "4+": "1:9"},
)


def table_rows(stdout):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in stdout.splitlines() if line.startswith("│")]


@pytest.fixture
def found(monkeypatch):
    """Has the command find FOUND, or what else is put in its place; holds that and what it was called with."""
    seen = {"result": FOUND}

    def ensemble(*arguments, progress, **options):
        seen["called"] = (*arguments, options)
        return seen["result"]

    monkeypatch.setattr("rgacli.api.ensemble.ensemble", ensemble)
    return seen


def test_tables_fit_eighty_columns_in_one_line_per_row(folder, run, near_misses):
    result = invoke("ensemble", "--bootstrap", 5, "--timed", 1)
    assert result.exit_code == 0, result.stderr
    tables = [line for line in result.stdout.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    assert [row[0] for row in table_rows(result.stdout)] == [*HEADS, *ENSEMBLING_METHODS] * 2
    assert "±" in result.stdout
    assert "figure: runs/base/figures/test/ensembles.png" in result.stderr


def test_json_has_all_that_was_found_and_is_all_that_stands_on_stdout(folder, run, dataset):
    result = invoke("ensemble", "--bootstrap", 2, "--timed", 1, "--bins", "1-4,5+", "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert [row["head"] for row in shown["heads"]] == [row["name"] for row in shown["heads"]] == HEADS
    assert [row["name"] for row in shown["methods"]] == list(ENSEMBLING_METHODS)
    assert all(set(row) == ROW | COSTS | {"head", "gain", "gain_low", "gain_high"} for row in shown["heads"])
    assert all(set(row) == ROW | COSTS for row in shown["methods"])
    assert (shown["run"], shown["split"], shown["reference"]) == ("base", "test", "ensemble")
    assert set(shown["images"]) == {"1-4", "5+"}
    assert set(shown["timing"]) == {"single_seconds", "images", "device"}
    assert shown["oracle"]["uses_annotations"] is True
    assert set(shown["oracle"]["chosen"]) == {"all", "1-4", "5+"}
    assert set(shown["dispatch"]) == {"calibrated_on", "threshold", "count_error", "variants"}
    assert Path(shown["figure"]).is_file()
    assert Path(shown["detections"], "joint-nms.json").is_file()
    assert shown["annotations"] == str(dataset / "annotations/test.json")


def test_gains_and_costs_are_shown_to_a_readable_digit(folder, found):
    stdout = invoke("ensemble").stdout
    assert "what each gains over ensemble (AP ± 95 %), and costs" in stdout
    assert table_rows(stdout)[4:] == [
        ["1:1", "-0.125 ± 0.075", "1.23 M", "-"],
        ["1:9", "-0.025", "1.23 M", "-"],
        ["ensemble", "-", "2.35 M", "+1.2"],
        ["oracle", "+0.125 ± 0.100", "-", "-"],
    ]


def test_what_the_tables_do_not_hold_stands_below_them(folder, found):
    lines = invoke("ensemble").stdout.splitlines()
    for line in (
        "base on test: AP, and AP on images of so many objects; 200 detections an image (the densest image has 150 "
        "objects); --max-dets 100 is COCO's official number",
        "images: 3 of 1-3 objects, 1 of 4+ objects",
        "the ensemble gains +0.125 ± 0.075 over 1:1, +0.025 over 1:9",
        "time: median over 7 images, on CPU, 1 thread; a single one takes 50.0 ms an image in all",
        "dispatch: calibrated on val.json; detections of 0.25 or more count as objects (off by 1.5 an image); "
        "1-3: tilt-2, 4+: ensemble (a tilt above 0 weighs heads trained with more positives higher, one below 0 those "
        "with fewer)",
        "oracle looks at the annotations that it is measured by, so it is no method but the headroom; all: 1:9, "
        "1-3: 1:1, 4+: 1:9",
    ):
        assert line in lines


def test_what_was_not_looked_for_is_not_shown(folder, found):
    row = replace(FOUND.methods[1], name="wbf")
    heads = [replace(row, parameters=None) for row in FOUND.members]
    found["result"] = replace(
        FOUND, members=heads, methods=[row], reference="1:1", timing=None, dispatch=None, oracle=None
    )
    stdout = invoke("ensemble").stdout
    assert table_rows(stdout)[-1] == ["wbf", "+0.125 ± 0.100"]
    for absent in ("added ms", "parameters", "time: median", "dispatch", "oracle", "the ensemble gains"):
        assert absent not in stdout
    assert not {"timing", "dispatch", "oracle"} & json.loads(invoke("ensemble", "--json").stdout).keys()


def test_options_that_are_repeated_are_passed_on_in_their_order(folder, found):
    options = ["--checkpoint", "a.pth", "--checkpoint", "b.pth", "--config", "a.py", "--config", "b.py"]
    invoke("ensemble", "one", "two", "--method", "wbf", "--method", "ensemble", *options, "--results", "a=a.json")
    runs, called = found["called"]
    assert runs == ["one", "two"]
    assert called["method"] == ["wbf", "ensemble"]
    assert called["checkpoint"] == [Path("a.pth"), Path("b.pth")]
    assert called["config"] == ["a.py", "b.py"]
    assert called["results"] == ["a=a.json"]
    invoke("ensemble")
    assert found["called"][1]["method"] == []


@pytest.fixture
def results(folder, dataset):
    """Two results files that find all objects, as options."""
    objects = json.loads((dataset / "annotations/test.json").read_text())["annotations"]
    for name, score in (("a", 0.5), ("b", 0.25)):
        detections = [{key: entry[key] for key in ("image_id", "category_id", "bbox")} for entry in objects]
        Path(f"{name}.json").write_text(json.dumps([{**detection, "score": score} for detection in detections]))
    return [
        "--results",
        "mine=a.json",
        "--results",
        "theirs=b.json",
        "--annotations",
        dataset / "annotations/test.json",
    ]


def test_results_files_are_combined(folder, dataset, results):
    result = invoke("ensemble", *results, "--bootstrap", 2, "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert [row["head"] for row in shown["heads"]] == ["mine", "theirs"]
    assert [row["name"] for row in shown["methods"]] == ["joint-nms", "wbf", "oracle"]
    assert [row["AP"] for row in shown["methods"]] == pytest.approx([1, 1, 1])
    assert (shown["reference"], shown["split"]) == ("mine", str(dataset / "annotations/test.json"))
    assert shown["methods"][0]["parameters"] is shown["methods"][0]["added_seconds"] is None
    assert (folder / "ensembles/mine+theirs/detections/wbf.json").is_file()


def test_an_unknown_method_is_answered_by_those_there_are(folder):
    result = invoke("ensemble", "--method", "average")
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("│", " ").split())
    assert "'average' is not one of 'ensemble', 'average-probs', 'average-boxes', 'joint-nms', 'wbf'," in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibrate", "test"], "--calibrate test is the split that is evaluated"),
        (["--method", "wbf", "--calibrate", "val"], "--calibrate goes with --method dispatch"),
        ([RUN, "other", "--method", "dispatch"], "--method dispatch: it weighs the heads of one run"),
        (["--checkpoint", "a.pth", RUN, "--config", "a.py"], "give RUN or --checkpoint, not both"),
        (["--config", "a.py"], "--config says what a --checkpoint was trained by"),
        (["--checkpoint", "a.pth", "--config", "a.py", "--config", "b.py"], "--config: 2 for 1 --checkpoint; give"),
        (["--results", "a=a.json"], "--results needs --annotations FILE"),
        (
            ["--annotations", "a.json"],
            "--annotations goes with --results NAME=FILE; a run's dataset is named by --data",
        ),
        (
            ["--results", "a=a.json", RUN],
            "--results stand alone: leave out RUN, --which, --checkpoint, --config, --data, --split, --calibrate, "
            "--timed and --device.",
        ),
        (["--out", "file/figures"], "file is in the way (it is no folder)"),
    ],
)
def test_what_cannot_be_combined_costs_one_line(folder, run, arguments, words):
    shutil.copytree(run, "runs/other")
    Path("file").touch()
    before = snapshot(folder)
    result = invoke("ensemble", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "ensemble"], "--method ensemble: it takes detectors, and results files hold their boxes alone"),
        (["--results", "theirs"], "--results theirs is not of the form NAME=FILE"),
        (["--results", "mine=b.json"], "--results: the name mine stands twice"),
        (["--results", "wbf=b.json"], "--results: wbf is the name of a method"),
    ],
)
def test_results_that_cannot_be_combined_cost_one_line(results, options, words):
    result = invoke("ensemble", *results, *options)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
