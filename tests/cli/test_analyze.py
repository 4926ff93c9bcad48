import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

import rgacli
from rgacli.analysis.scores.collecting import collect
from rgacli.api.gt_bins import gt_bins
from rgacli.api.proposals import proposals
from rgacli.evaluation.results import save_results
from tests.cli.commands import error_line, invoke
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.processes import python_code

HEADS = ["1:1", "1:9", "ensemble"]


def table_rows(stdout):
    """The cells of a printed table's body."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in stdout.splitlines() if line.startswith("│")]


@pytest.fixture
def small_run(folder, finished_run):
    """A run in the working folder."""
    return shutil.copytree(finished_run, folder / "runs/small")


@pytest.fixture
def results(folder):
    """--results of two runs' heads, --annotations and few bootstrap samples; the files lie in the working folder."""
    annotations = random_annotations(0)
    Path("annotations.json").write_text(json.dumps(annotations))
    options = ["--annotations", "annotations.json", "--bootstrap", 2]
    for seed, head in enumerate(HEADS):
        save_results(f"{seed}.json", noisy_detections(annotations, seed))
        options += ["--results", f"here {head}={seed}.json", "--results", f"there {head}={seed}.json"]
    return options


# dataset


def test_a_dataset_is_shown_in_eighty_columns_or_as_json(folder, dataset, undrawn):
    result = invoke("analyze", "dataset", dataset, "--split", "val", "--rois", 64)
    assert result.exit_code == 0, result.stderr
    *lines, found, paper = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [row[0] for row in table_rows(result.stdout)[-5:]] == ["1:1", "1:3", "1:5", "1:7", "1:9"]
    assert (found.split(":")[0], paper.split(":")[0]) == ("found", "the paper")
    assert "figure: figures/drawn/val/dataset.png, dataset.svg" in result.stderr
    shown = json.loads(invoke("analyze", "dataset", dataset, "--split", "val", "--rois", 64, "--json").stdout)
    assert (shown["name"], shown["split"], shown["images"], shown["sampling"]["rois"]) == ("dataset", "val", 4, 64)
    assert [row["ratio"] for row in shown["rows"]] == ["1:1", "1:3", "1:5", "1:7", "1:9"]
    assert found == f"found: {shown['conclusion']}."


# gt-bins


def test_gt_bins_tables_show_each_run_and_in_it_each_head_once_in_eighty_columns(results, undrawn):
    result = invoke("analyze", "gt-bins", *results, "--out", "mine")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    *_, found, paper = lines
    assert (found.split(":")[0], paper.split(":")[0]) == ("found", "the paper")
    assert [line for line in lines if line.startswith("AP per ")] == [
        f"AP per ground-truth-count bin: {run}; baseline here ensemble; 100 detections an image"
        for run in ("here", "there")
    ]
    assert max(len(line) for line in lines[:-2] if not line.startswith("AP per ")) <= 80
    rows = table_rows(result.stdout)
    assert [row[0] for row in rows if row[0]] == HEADS * 2
    assert [row[1] for row in rows] == ["all", "1-3", "4-7", "8+"] * len(HEADS) * 2
    assert all("…" in row[4] for row in rows)
    assert [row[7] for row in rows if "±" not in row[7]] == ["-"] * 4  # the baseline's own
    assert "figure: mine/gt_bins.png, gt_bins.svg; data: mine/gt_bins.csv" in result.stderr


def test_gt_bins_without_bootstrap_have_no_column_of_intervals(results, undrawn):
    assert "95 %" in invoke("analyze", "gt-bins", *results).stdout
    assert "95 %" not in invoke("analyze", "gt-bins", *results, "--bootstrap", 0).stdout


def test_gt_bins_json_of_a_run_is_what_the_function_returns(small_run, undrawn):
    result = invoke("analyze", "gt-bins", "--bins", "1-3,8+", "--json", "--bootstrap", 0)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    expected = gt_bins("small", bins="1-3,8+", bootstrap=0)
    rows = [{key: None if value != value else value for key, value in asdict(row).items()} for row in expected.rows]
    stem = "runs/small/figures/test/gt_bins"
    assert shown == {
        "name": "gt_bins",
        "bins": "1-3,8+",
        "max_dets": asdict(expected.finding.max_dets),
        "baseline": "ensemble",
        "rows": rows,
        "conclusion": expected.conclusion,
        "paper": expected.paper,
        "figure": f"{stem}.png",
        "vector": f"{stem}.svg",
        "data": f"{stem}.csv",
    }
    assert any(row["AP"] is None for row in rows)  # NaN, which JSON has no word for


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["RUN"],
            "leave out RUN, --which, --checkpoint, --config, --data, --split and --device.",
        ),
        (["--results", "good.json"], "--results good.json is not of the form NAME=FILE."),
        (["--results", "here 1:1=0.json"], "--results: the name here 1:1 stands twice."),
        (
            ["--baseline", "1:1"],
            "--baseline 1:1: there are no such detections; there are here 1:1, there 1:1,",
        ),
    ],
)
def test_contradicting_options_are_spelled_as_options(results, options, words):
    assert words in error_line(invoke("analyze", "gt-bins", *results, *options).stderr)


def test_a_run_and_a_checkpoint_are_spelled_as_the_command_line_has_them(folder):
    result = invoke("analyze", "gt-bins", "base", "--checkpoint", "x.pth")
    assert "give RUN or --checkpoint, not both" in error_line(result.stderr)


# calibration, count-error, errors

OF_DETECTIONS = {"calibration": "calibration", "count-error": "count_error", "errors": "error_types"}


@pytest.mark.parametrize("command", OF_DETECTIONS)
def test_analyses_of_detections_are_tables_in_eighty_columns_and_what_they_say(results, undrawn, command):
    result = invoke("analyze", command, *fitting(command, results))
    assert result.exit_code == 0, result.stderr
    *lines, found, paper = result.stdout.splitlines()
    assert (found.split(":")[0], paper.split(":")[0]) == ("found", "the paper")
    assert max(len(line) for line in lines if line.startswith(("┏", "│"))) <= 80
    rows = table_rows(result.stdout)
    assert [row[0] for row in rows if row[0] in HEADS][: 2 * len(HEADS)] == HEADS * 2
    assert ["1-3" in row for row in rows].count(True) >= len(HEADS) * 2


@pytest.mark.parametrize(("command", "function"), OF_DETECTIONS.items())
def test_their_json_is_what_the_functions_return(results, undrawn, command, function):
    shown = json.loads(invoke("analyze", command, "--json", *fitting(command, results)).stdout)
    files = {option: file for option, _, file in (each.rpartition("=") for each in results if "=" in str(each))}
    quick = {"bootstrap": 2} if command == "count-error" else {}
    expected = getattr(rgacli, function)(results=files, annotations=Path("annotations.json"), **quick)
    assert shown.keys() >= {*expected.about, "rows", "conclusion", "paper", "figure", "vector", "data"}
    assert shown["rows"] == [asdict(row) for row in expected.rows]


def test_a_score_out_of_range_is_spelled_as_an_option(results):
    assert "'--score'" in invoke("analyze", "errors", *fitting("errors", results), "--score", 2).stderr


def fitting(command, results):
    """The options that an analysis of detections has."""
    return [each for each in results if command in ("gt-bins", "count-error") or each not in ("--bootstrap", 2)]


def test_results_of_any_detector_are_looked_at_without_torch(results):
    told = python_code(
        """
        import json, os, sys
        from rgacli.analysis import figures
        from rgacli.cli.app import app
        from tests.support.sketches import sketch
        figures.write = sketch
        os.chdir(sys.argv[1])
        for arguments in json.loads(sys.argv[2]):
            app(["analyze", *map(str, arguments)], standalone_mode=False)
        print([name for name in ("torch", "mmengine", "mmdet") if name in sys.modules])
        """,
        Path.cwd(),
        json.dumps([[command, *fitting(command, results)] for command in ("gt-bins", *OF_DETECTIONS)]),
    )
    assert told.count("found: ") == 4
    assert told.splitlines()[-1] == "[]"


# proposals


def test_proposals_json_and_tables_are_what_the_function_returns(small_run, undrawn, monkeypatch):
    shown = json.loads(invoke("analyze", "proposals", "--json").stdout)
    figure = "runs/small/figures/test/proposals.png"
    assert (shown["runs"], shown["split"], shown["figure"]) == (["small"], "test", figure)
    expected = proposals("small", which="2,last")
    rows = [{key: None if value != value else value for key, value in asdict(row).items()} for row in expected.rows]
    assert shown["rows"] == rows[4:]
    monkeypatch.setattr("rgacli.api.proposals.collect", lambda detector, checkpoint, progress: records.pop(0))
    records = [counted.records for counted in expected.finding.counted]
    result = invoke("analyze", "proposals", "--which", "2,last")
    assert max(map(len, result.stdout.splitlines()[:-2])) <= 80
    assert result.stdout.startswith("positive proposals per image: small on test, epoch 3\n")
    rows = table_rows(result.stdout)
    assert [row[0] for row in rows[:4]] == ["all", "1-3", "4-7", "8+"]
    assert [row[0] for row in rows[4:] if row[0]] == ["epoch 2", "epoch 3"]


@pytest.mark.parametrize("command", ["positives", "accuracy"])
def test_what_a_run_logged_is_printed_as_tables_and_two_lines_or_as_json(small_run, command, undrawn):
    shown = invoke("analyze", command, "small")
    assert shown.exit_code == 0, shown.stderr
    *_, found, paper = shown.stdout.splitlines()
    assert (found.split(":")[0], paper.split(":")[0]) == ("found", "the paper")
    assert {row[0] for row in table_rows(shown.stdout)} >= ({"1:1", "1:9"} if command == "positives" else {"small"})
    content = json.loads(invoke("analyze", command, "small", "--json").stdout)
    assert {row["head"] for row in content["rows"]} == {"1:1", "1:9"}
    assert content["figure"] == f"runs/small/figures/{command}.png"


def test_a_figure_without_a_place_costs_one_line(small_run, folder):
    (folder / "file").touch()
    result = invoke("analyze", "proposals", "--out", "file/figures")
    assert result.exit_code == 2
    assert "file is in the way (it is no folder)" in error_line(result.stderr)


# scores


def test_scores_json_and_tables_show_the_same(small_run, undrawn, monkeypatch):
    counted = []

    def once(*arguments, **options):
        counted.append(counted[0] if counted else collect(*arguments, **options))
        return counted[-1]

    monkeypatch.setattr("rgacli.api.scores.collect", once)
    shown = json.loads(invoke("analyze", "scores", "--json", "--min-score", 0).stdout)
    assert (shown["runs"], shown["min_score"]) == (["small"], 0)
    assert shown["rows"][2]["heads"] == ["1:1", "1:9"]
    result = invoke("analyze", "scores", "--min-score", 0)
    assert f"found: {shown['conclusion']}." in result.stdout.splitlines()
    titles = ("scores of the heads", "differences of these", "found", "the paper")
    assert max(len(line) for line in result.stdout.splitlines() if not line.startswith(titles)) <= 80
    rows = table_rows(result.stdout)
    assert [row[3] for row in rows[:2]] == ["1:1", "1:9"]
    assert f"{shown['rows'][2]['share']:.3f}" in rows[8][5]


def test_scores_of_a_single_head_cost_one_line(small_run):
    config = small_run / "config.py"
    config.write_text(config.read_text() + "\nmodel['roi_head']['ratios'] = ['1:3']")
    result = invoke("analyze", "scores")
    assert result.exit_code == 2
    assert "small has a single R-CNN head" in error_line(result.stderr)
