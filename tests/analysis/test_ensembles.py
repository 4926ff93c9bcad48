import csv
import math

import pytest
from PIL import Image

from rgacli.analysis.ensembles import collect, plot
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import difference, evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, parse_bins
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0)
EVALUATIONS = {
    name: evaluate(ANNOTATIONS, noisy_detections(ANNOTATIONS, seed, noise=noise))
    for seed, (name, noise) in enumerate({"1:1": 4, "1:9": 4, "ensemble": 2}.items())
}
IMAGES = {"1-3": 1, "4-7": 2, "8+": 3, "500+": 0}


@pytest.fixture(scope="module")
def rows():
    return collect(EVALUATIONS, DEFAULT_BINS, "ensemble", bootstrap=20, seed=5)


def test_each_row_is_reported():
    seen = []
    collect(EVALUATIONS, DEFAULT_BINS, "ensemble", bootstrap=2, progress=lambda *report: seen.append(report))
    assert seen == [("comparing", done, 3) for done in (1, 2, 3)]


def test_rows_hold_what_the_evaluations_say(rows):
    assert [row.name for row in rows] == list(EVALUATIONS)
    for row in rows:
        evaluation = EVALUATIONS[row.name]
        assert tuple(evaluation.overall[key] for key in ("AP", "AP50", "AP75")) == (row.AP, row.AP50, row.AP75)
        assert row.bins == {label: found["AP"] for label, found in evaluation.by_bin(DEFAULT_BINS).items()}


def test_differences_are_to_the_reference(rows):
    for row in rows[:2]:
        expected = difference(EVALUATIONS["ensemble"], EVALUATIONS[row.name], samples=20, seed=5)
        assert (row.difference, row.difference_low, row.difference_high) == expected
        assert row.difference == pytest.approx(row.AP - rows[2].AP)
    assert rows[2].difference is rows[2].difference_low is rows[2].difference_high is None


def test_the_figure_has_the_rows_beside_it(rows, tmp_path):
    plot(rows, "ensemble", IMAGES, tmp_path / "ensembles.png")
    with Image.open(tmp_path / "ensembles.png") as image:
        assert min(image.size) > 200
    with (tmp_path / "ensembles.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["name"] for row in read] == list(EVALUATIONS)
    for row, shown in zip(rows, read, strict=True):
        assert float(shown["AP 4-7"]) == row.bins["4-7"]
        assert shown["difference"] == ("" if row.difference is None else str(row.difference))


def test_an_empty_bin_has_no_panel(rows, tmp_path):
    narrow = collect(EVALUATIONS, parse_bins("1-3"), "ensemble", bootstrap=2)
    wide = collect(EVALUATIONS, parse_bins("1-3,500+"), "ensemble", bootstrap=2)
    sizes = []
    for name, found in (("narrow", narrow), ("wide", wide)):
        plot(found, "ensemble", IMAGES, tmp_path / f"{name}.png")
        sizes.append(Image.open(tmp_path / f"{name}.png").size)
    assert math.isnan(wide[0].bins["500+"])
    assert sizes[0] == sizes[1]


def test_without_objects_there_is_nothing_to_draw(tmp_path):
    empty = evaluate({**ANNOTATIONS, "annotations": []}, [])
    with pytest.raises(UsageError, match="nothing to draw"):
        plot(collect({"a": empty, "b": empty}, DEFAULT_BINS, "a", bootstrap=2), "a", IMAGES, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
