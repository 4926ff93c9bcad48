import csv
import math
import weakref
from dataclasses import asdict, replace
from functools import partial

import pytest
from PIL import Image

from rgacli.analysis.finding import publish
from rgacli.analysis.gt_bins.compared import by_name
from rgacli.analysis.gt_bins.finding import GtBins, collect
from rgacli.analysis.gt_bins.rows import Row
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import difference, evaluate, interval
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign, bins_text, parse_bins
from rgacli.evaluation.max_dets import max_dets_for
from rgacli.evaluation.results import LazyResults
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


def plot(rows, path, baseline=None):
    publish(GtBins(bins_text(DEFAULT_BINS), max_dets_for(ANNOTATIONS), rows, baseline), path)


def values(row):
    return row.AP, row.AP50, row.AP75, row.AP_low, row.AP_high


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
        assert values(row) == (metrics["AP"], metrics["AP50"], metrics["AP75"], *ends)
    assert evaluation.overall["AP"] == by_label["all"].AP


@pytest.mark.parametrize("bootstrap", [0, 1])
def test_without_bootstrap_there_are_no_intervals(bootstrap):
    rows = collect(ANNOTATIONS, {"mine": RESULTS["1:1"]}, DEFAULT_BINS, bootstrap=bootstrap).rows
    assert all(math.isnan(row.AP_low) and math.isnan(row.AP_high) and row.AP > 0 for row in rows)


def test_an_empty_bin_has_a_row_but_no_metrics():
    empty = collect(ANNOTATIONS, {"mine": RESULTS["1:1"]}, parse_bins("500+"), bootstrap=2).rows[1]
    assert (empty.bin, empty.images, empty.objects) == ("500+", 0, 0)
    assert all(map(math.isnan, (*values(empty), *empty.gain)))


def test_each_set_of_detections_is_reported():
    seen = []
    collect(ANNOTATIONS, RESULTS, (), bootstrap=0, progress=lambda *report: seen.append(report))
    assert seen == [("comparing", 1, 3), ("comparing", 2, 3), ("comparing", 3, 3)]


def test_differences_are_paired_and_to_the_baseline(rows):
    reference, other = (evaluate(ANNOTATIONS, RESULTS[name]) for name in ("ensemble", "1:9"))
    for label, images in {"all": None, **assign(other.gt_counts, DEFAULT_BINS)}.items():
        [row] = [row for row in rows if (row.name, row.bin) == ("1:9", label)]
        assert row.gain == difference(reference, other, images, samples=20, seed=5)
    assert all(math.isnan(value) for row in rows if row.name == "ensemble" for value in row.gain)


def test_any_set_can_be_the_baseline_and_rows_keep_their_order(rows):
    found = collect(ANNOTATIONS, RESULTS, DEFAULT_BINS, bootstrap=20, seed=5, baseline="1:9")
    assert [(row.name, row.bin) for row in found.rows] == [(row.name, row.bin) for row in rows]
    assert (found.baseline, found.about["baseline"]) == ("1:9", "1:9")
    turned = {row.bin: row.gain for row in found.rows if row.name == "ensemble"}
    for row in rows:
        if row.name == "1:9":
            assert turned[row.bin] == pytest.approx((-row.difference, -row.difference_high, -row.difference_low))


class Detections(list):
    """A list that tells whether it is still there."""


def test_no_two_sets_of_detections_are_in_memory_at_once():
    held = []

    def read(name):
        assert all(detections() is None for detections in held)
        detections = Detections(RESULTS[name])
        held.append(weakref.ref(detections))
        return detections

    collect(ANNOTATIONS, LazyResults({name: partial(read, name) for name in RESULTS}), (), bootstrap=0)
    assert len(held) == len(RESULTS)


def finding(*gains, images=50, baseline="base"):
    """Of "base" with AP 0.4 and of a detector per gain (value, low, high), on all images and on one bin."""
    names = {"base": (math.nan, math.nan, math.nan)} | {f"d{number}": gain for number, gain in enumerate(gains)}
    rows = []
    for label, count in (("all", 70), ("8+", images)):
        for compared, gain in zip(by_name(names), names.values(), strict=True):
            ap = 0.4 if math.isnan(gain[0]) else 0.4 + gain[0]
            rows.append(Row(*asdict(compared).values(), label, count, 300, ap, 0.6, 0.4, 0.3, 0.5, *gain))
    return GtBins("8+", max_dets_for(ANNOTATIONS), rows, baseline)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            finding((0.021, 0.004, 0.038), (0.01, 0, 0.02)),
            "in images with 8+ objects d0 is best: against base +0.021 (95 %: +0.004 to +0.038)",
        ),
        (
            finding((0.003, -0.01, 0.016)),
            "in images with 8+ objects d0 is best: against base +0.003, within its interval (95 %: −0.010 to +0.016)",
        ),
        (
            finding((-0.2, -0.3, -0.1), (-0.021, -0.038, -0.004)),
            "in images with 8+ objects base is best: d1 against it −0.021 (95 %: −0.038 to −0.004)",
        ),
        (finding(baseline=None), "in images with 8+ objects base has AP 0.400 (0.300 to 0.500)"),
        (finding((0.1, 0, 0.2), images=9), "in images with 8+ objects nothing can be told: 9 are too few"),
    ],
)
def test_the_conclusion_names_the_best_and_its_interval(found, words):
    assert found.conclusion() == words


def test_a_bin_of_few_images_is_marked_in_the_table_and_keeps_its_number():
    [table] = finding((0.1, 0, 0.2), images=9).tables()
    assert [row["images"] for row in table.rows] == [70, 70, "9 (few)", "9 (few)"]
    assert [row["difference"] for row in table.rows] == [None, "+0.100 ±0.100"] * 2
    assert all(row["AP"] for row in table.rows)


@pytest.mark.parametrize(
    "names",
    [
        {"1:1": "1:1", "1:9": "1:9", "ensemble": "ensemble"},
        {"1:1": "a/long/path" * 20, "1:9": "a/$long$/path" * 20 + " 1:9", "ensemble": "$_x^ 1:3"},
    ],
)
@pytest.mark.filterwarnings("error")
def test_figure_decodes_and_its_csv_holds_the_rows(tmp_path, rows, names):
    compared = dict(zip(names, by_name(names.values()), strict=True))
    renamed = [replace(row, **asdict(compared[row.name])) for row in rows]
    plot(renamed, tmp_path / "gt_bins.png", names["ensemble"])
    with Image.open(tmp_path / "gt_bins.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 1000
    assert list(map(repr, read_rows(tmp_path / "gt_bins.csv"))) == list(map(repr, renamed))  # NaN is not NaN


def test_figure_of_bins_of_one_image_and_of_none(tmp_path, rows):
    single = replace(rows[1], bin="1", images=1, AP_low=math.nan, AP_high=math.nan)
    plot([single, replace(rows[2], AP=math.nan)], tmp_path / "gt_bins.png")
    assert repr(read_rows(tmp_path / "gt_bins.csv")) == repr([single])


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        plot([], tmp_path / "gt_bins.png")
    assert list(tmp_path.iterdir()) == []


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    kinds = {"images": int, "objects": int} | dict.fromkeys(("name", "run", "head", "place", "line", "bin"), str)
    return [Row(**{key: kinds.get(key, float)(value) for key, value in line.items()}) for line in lines]
