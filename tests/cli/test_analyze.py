import csv
import json
import math
import shutil
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest

from rgacli.analysis import proposals as detector
from rgacli.evaluation import detect
from tests.cli.commands import error_line, invoke, snapshot

HEADS = ["1:1", "1:9", "ensemble"]


def table_rows(stdout):
    """The cells of a printed table's body."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in stdout.splitlines() if line.startswith("│")]


def assert_csv_equals(path, rows):
    """The CSV has exactly these rows: text as it is, numbers to the last digit, an empty or NaN field for null."""
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows)
    for line, row in zip(written, rows, strict=True):
        for key, value in row.items():
            assert line[key] == ("nan" if value is None else str(value)), key


def box_iou(a, b):
    """IoU of two boxes (x1, y1, x2, y2), in plain Python."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.fixture
def annotations(dataset):
    return dataset / "annotations/test.json"


@pytest.fixture
def detected(folder, run, near_misses):
    """A run whose detections lie in its folder."""
    assert invoke("eval").exit_code == 0
    return run


@pytest.fixture
def counts(annotations):
    """Number of objects of each image."""
    content = json.loads(annotations.read_text())
    found = dict.fromkeys([image["id"] for image in content["images"]], 0)
    for entry in content["annotations"]:
        found[entry["image_id"]] += 1
    return found


# gt-bins


def test_bins_count_their_images_and_objects(detected, counts):
    rows = json.loads(invoke("analyze", "gt-bins", "--json").stdout)["rows"]
    bins = {"all": range(10**6), "1-3": range(1, 4), "4-7": range(4, 8), "8+": range(8, 10**6)}
    assert [(row["name"], row["bin"]) for row in rows] == [(head, label) for head in HEADS for label in bins]
    for row in rows:
        inside = [count for count in counts.values() if count in bins[row["bin"]]]
        assert (row["images"], row["objects"]) == (len(inside), sum(inside))


def test_all_images_have_the_ap_that_eval_shows(folder, run, near_misses):
    shown = json.loads(invoke("eval", "--head", "all", "--json").stdout)["heads"]
    rows = json.loads(invoke("analyze", "gt-bins", "--json").stdout)["rows"]
    for row in rows:
        if row["bin"] == "all":
            assert {key: row[key] for key in ("AP", "AP50", "AP75")} == pytest.approx(
                {key: shown[row["name"]][key] for key in ("AP", "AP50", "AP75")}
            )


def test_the_csv_holds_what_the_json_does_and_lies_beside_the_figure(detected):
    shown = json.loads(invoke("analyze", "gt-bins", "--json").stdout)
    assert shown["figure"] == "runs/base/figures/test/gt_bins.png"
    assert (detected / "figures/test/gt_bins.png").read_bytes().startswith(b"\x89PNG")
    assert_csv_equals(detected / "figures/test/gt_bins.csv", [row for row in shown["rows"] if row["AP"] is not None])


def test_bins_may_be_ones_own_with_gaps(detected, counts):
    few, many = min(counts.values()), max(counts.values())
    shown = json.loads(invoke("analyze", "gt-bins", "--bins", f"{many},{few}", "--json", "--bootstrap", 0).stdout)
    assert [row["bin"] for row in shown["rows"][:3]] == ["all", str(few), str(many)]
    assert all(row["AP_low"] is None for row in shown["rows"])


def test_eighty_columns_hold_each_row_in_one_line_and_each_head_once(detected):
    result = invoke("analyze", "gt-bins")
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = table_rows(result.stdout)
    assert [row[0] for row in rows if row[0]] == HEADS
    assert [row[1] for row in rows] == ["all", "1-3", "4-7", "8+"] * len(HEADS)
    assert any("–" in row[5] for row in rows)


def test_detections_that_are_there_are_not_made_again(detected, monkeypatch):
    monkeypatch.setattr(detect, "detect", None)
    result = invoke("analyze", "gt-bins")
    assert result.exit_code == 0, result.stderr
    assert "using the detections" in result.stderr


def test_several_runs_stand_side_by_side_and_leave_their_own_figures_alone(folder, detected):
    other = shutil.copytree(detected, folder / "runs/other")
    invoke("analyze", "gt-bins", "base")
    before = snapshot(detected / "figures")
    result = invoke("analyze", "gt-bins", "base", "other")
    assert result.exit_code == 0, result.stderr
    for name in ("base", "other"):
        assert f"AP per ground-truth-count bin: {name}" in result.stdout
    names = {row["name"].partition(" ")[0] for row in csv.DictReader((folder / "figures/test/gt_bins.csv").open())}
    assert names == {"base", "other"}
    assert snapshot(detected / "figures") == before
    assert not (other / "figures").exists()


def test_figures_of_several_runs_on_two_splits_lie_apart(folder, detected):
    shutil.copytree(detected, folder / "runs/other")
    for split in ("test", "val"):
        shown = json.loads(invoke("analyze", "gt-bins", "base", "other", "--split", split, "--json").stdout)
        assert shown["figure"] == f"figures/{split}/gt_bins.png"


def test_runs_on_one_dataset_by_two_paths_are_compared(folder, detected, dataset):
    (folder / "link").symlink_to(dataset)
    other = shutil.copytree(detected, folder / "runs/other")
    config = other / "config.py"
    config.write_text(config.read_text().replace(str(dataset), str(folder / "link")))
    result = invoke("analyze", "gt-bins", "base", "other", "--bootstrap", 0)
    assert result.exit_code == 0, result.stderr


def test_runs_of_one_name_are_told_apart_by_their_paths(folder, detected):
    shutil.copytree(detected, folder / "elsewhere/base")
    rows = json.loads(invoke("analyze", "gt-bins", "base", "elsewhere/base", "--json").stdout)["rows"]
    assert {row["name"] for row in rows} == {
        f"{path} {head}" for path in ("runs/base", "elsewhere/base") for head in HEADS
    }


def test_a_run_named_twice_is_refused(folder, detected):
    assert "run base stands twice" in error_line(invoke("analyze", "gt-bins", "base", "runs/base").stderr)


def test_results_of_any_detector_are_binned_without_torch(detected, annotations, folder):
    shutil.rmtree(folder / "figures", ignore_errors=True)
    own = json.loads(invoke("analyze", "gt-bins", "--json").stdout)["rows"]
    results = detected / "detections/test/1to9.json"
    arguments = ["analyze", "gt-bins", "--results", f"mine={results}", "--annotations", str(annotations), "--json"]
    code = "import sys; from rgacli.cli.app import app; app(sys.argv[1:], standalone_mode=False)\n" + (
        "heavy = [name for name in ('torch', 'mmengine', 'mmdet') if name in sys.modules]; assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["figure"] == "figures/gt_bins.png"
    assert found["rows"] == [{**row, "name": "mine"} for row in own if row["name"] == "1:9"]


def test_results_of_several_detectors_are_compared_under_their_names(detected, annotations):
    pair = [
        word
        for name, slug in (("a", "1to1"), ("b c", "1to9"))
        for word in ("--results", f"{name}={detected}/detections/test/{slug}.json")
    ]
    result = invoke("analyze", "gt-bins", *pair, "--annotations", annotations, "--out", "mine")
    assert result.exit_code == 0, result.stderr
    assert [row[0] for row in table_rows(result.stdout) if row[0]] == ["a", "b c"]
    assert "figure: mine/gt_bins.png; data: mine/gt_bins.csv" in result.stderr


# proposals


@pytest.fixture
def brute_force(monkeypatch):
    """Image -> proposals and objects that the command compared; every overlap above 0.1 is positive meanwhile."""
    compared = []
    overlaps = detector.bbox_overlaps

    def recording(proposals, truth):
        compared.append((proposals.tolist(), truth.tolist()))
        return overlaps(proposals, truth)

    monkeypatch.setattr(detector, "bbox_overlaps", recording)
    monkeypatch.setattr(detector, "POSITIVE_IOU", 0.1)
    return compared


def test_positive_proposals_are_those_that_a_brute_force_count_finds(folder, run, annotations, brute_force):
    assert invoke("analyze", "proposals").exit_code == 0
    with (run / "figures/test/proposals.csv").open(newline="") as file:
        records = {int(record["image_id"]): record for record in csv.DictReader(file)}
    truth = defaultdict(list)
    for entry in json.loads(annotations.read_text())["annotations"]:
        x, y, width, height = entry["bbox"]
        truth[entry["image_id"]].append([x, y, x + width, y + height])
    assert sorted(records) == sorted(truth)
    for (proposals, objects), image in zip(brute_force, truth, strict=True):
        np.testing.assert_allclose(objects, truth[image], rtol=1e-6)
        positives = sum(any(box_iou(proposal, box) >= 0.1 for box in objects) for proposal in proposals)
        assert positives > 0
        expected = {"gt_count": len(objects), "proposals": len(proposals), "positives": positives}
        assert {key: int(records[image][key]) for key in expected} == expected


def test_proposals_are_summed_up_per_bin(folder, run, brute_force):
    shown = json.loads(invoke("analyze", "proposals", "--bins", "1-4,5+", "--json").stdout)
    with (run / "figures/test/proposals.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    for row in shown["rows"]:
        positives = [int(record["positives"]) for record in records if record["bin"] == row["bin"]]
        assert row["images"] == len(positives)
        assert row["mean"] == pytest.approx(np.mean(positives))
        assert row["median"] == pytest.approx(np.median(positives))


def test_a_figure_without_a_place_is_told_of_before_the_work(folder, run, monkeypatch):
    monkeypatch.setattr(detector, "count_positive_proposals", None)
    (folder / "file").touch()
    result = invoke("analyze", "proposals", "--out", "file/figures")
    assert result.exit_code == 2
    assert "file is in the way (it is no folder)" in error_line(result.stderr)


def test_the_proposals_table_fits_eighty_columns(folder, run):
    result = invoke("analyze", "proposals")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert [row[0] for row in table_rows(result.stdout)] == ["1-3", "4-7", "8+"]


def test_whole_number_boxes_and_objects_of_unlisted_images_are_no_obstacle(folder, run, dataset):
    other = shutil.copytree(dataset, folder / "other")
    path = other / "annotations/test.json"
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        entry["bbox"] = [math.floor(value) for value in entry["bbox"]]
    content["annotations"].append({**content["annotations"][0], "id": 10**6, "image_id": 10**6})
    path.write_text(json.dumps(content))
    result = invoke("analyze", "proposals", "--data", "other", "--json")
    assert result.exit_code == 0, result.stderr
    assert sum(row["images"] for row in json.loads(result.stdout)["rows"]) == 4
