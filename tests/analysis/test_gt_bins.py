import csv
import math
from dataclasses import astuple, fields, replace

import pytest
from PIL import Image

from rgacli.analysis.finding import publish
from rgacli.analysis.gt_bins import GtBins, Row, collect
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import evaluate, interval
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign, bins_text, parse_bins
from rgacli.evaluation.max_dets import max_dets_for
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0)
RESULTS = {
    "1:1": noisy_detections(ANNOTATIONS, 1),
    "1:9": noisy_detections(ANNOTATIONS, 2),
    "ensemble": noisy_detections(ANNOTATIONS, 3, noise=2),
}


@pytest.fixture(scope="module")
def rows():
    return collect(ANNOTATIONS, RESULTS, DEFAULT_BINS, bootstrap=20, seed=5).rows


def plot(rows, path):
    publish(GtBins(bins_text(DEFAULT_BINS), max_dets_for(ANNOTATIONS), rows), path)


def test_a_row_per_name_and_bin(rows):
    assert [(row.name, row.bin) for row in rows] == [
        (name, label) for name in RESULTS for label in ("all", "1-3", "4-7", "8+")
    ]


def test_rows_count_images_and_objects_without_crowds(rows):
    objects = [entry for entry in ANNOTATIONS["annotations"] if not entry["iscrowd"]]
    everything, *bins = rows[:4]
    assert (everything.images, everything.objects) == (len(ANNOTATIONS["images"]), len(objects))
    assert sum(row.objects for row in bins) == len(objects)
    assert sum(row.images for row in bins) == len({entry["image_id"] for entry in objects})


def test_rows_hold_what_the_evaluation_says(rows):
    evaluation = evaluate(ANNOTATIONS, RESULTS["1:9"])
    by_label = {row.bin: row for row in rows if row.name == "1:9"}
    for label, images in assign(evaluation.gt_counts, DEFAULT_BINS).items():
        row, metrics = by_label[label], evaluation.by_bin(DEFAULT_BINS)[label]
        ends = interval(evaluation, images, samples=20, seed=5)
        assert astuple(row)[4:] == (metrics["AP"], metrics["AP50"], metrics["AP75"], *ends)
    assert evaluation.overall["AP"] == by_label["all"].AP


@pytest.mark.parametrize("bootstrap", [0, 1])
def test_without_bootstrap_there_are_no_intervals(bootstrap):
    rows = collect(ANNOTATIONS, {"mine": RESULTS["1:1"]}, DEFAULT_BINS, bootstrap=bootstrap).rows
    assert all(math.isnan(row.AP_low) and math.isnan(row.AP_high) and row.AP > 0 for row in rows)


def test_an_empty_bin_has_a_row_but_no_metrics():
    empty = collect(ANNOTATIONS, {"mine": RESULTS["1:1"]}, parse_bins("500+"), bootstrap=2).rows[1]
    assert (empty.bin, empty.images, empty.objects) == ("500+", 0, 0)
    assert all(map(math.isnan, astuple(empty)[4:]))


def test_each_set_of_detections_is_reported():
    seen = []
    collect(ANNOTATIONS, RESULTS, (), bootstrap=0, progress=lambda *report: seen.append(report))
    assert seen == [("comparing", 1, 3), ("comparing", 2, 3), ("comparing", 3, 3)]


@pytest.mark.parametrize(
    ("name", "run", "head"),
    [
        ("1:9", "", "1:9"),
        ("ensemble", "", "ensemble"),
        ("runs/a b 1:1#2", "runs/a b", "1:1#2"),
        ("mine ensemble", "mine", "ensemble"),
        ("RetinaNet (torchvision)", "", "RetinaNet (torchvision)"),
        ("at 0:9", "", "at 0:9"),
    ],
)
def test_names_that_end_in_a_head_are_of_a_run(rows, name, run, head):
    row = replace(rows[0], name=name)
    assert (row.run, row.head) == (run, head)


@pytest.mark.parametrize(
    "names",
    [
        {"1:1": "1:1", "1:9": "1:9", "ensemble": "ensemble"},
        {"1:1": "runs/a 1:1", "1:9": "runs/b 1:1#2", "ensemble": "runs/b ensemble"},
        {"1:1": "RetinaNet (torchvision)", "1:9": "costs $5", "ensemble": "$_x^ 1:3"},
        {"1:1": "a/long/path" * 20, "1:9": "a/long/path" * 20 + " 1:9", "ensemble": "b"},
    ],
)
@pytest.mark.filterwarnings("error")
def test_figure_decodes_and_its_csv_holds_the_rows(tmp_path, rows, names):
    renamed = [replace(row, name=names[row.name]) for row in rows]
    plot(renamed, tmp_path / "gt_bins.png")
    with Image.open(tmp_path / "gt_bins.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 1000
    assert read_rows(tmp_path / "gt_bins.csv") == renamed


def test_figure_of_bins_of_one_image_and_of_none(tmp_path, rows):
    single = replace(rows[1], bin="1", images=1, AP_low=math.nan, AP_high=math.nan)
    plot([single, replace(rows[2], AP=math.nan)], tmp_path / "gt_bins.png")
    [read] = read_rows(tmp_path / "gt_bins.csv")
    assert astuple(read)[:7] == astuple(single)[:7]
    assert math.isnan(read.AP_low)


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        plot([], tmp_path / "gt_bins.png")
    assert list(tmp_path.iterdir()) == []


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == [field.name for field in fields(Row)]
    return [Row(line[0], line[1], int(line[2]), int(line[3]), *map(float, line[4:])) for line in lines]
