"""calibration, count_error and error_types: analyses of detections that differ in what they look at."""

import json
import shutil
from pathlib import Path

import pytest

import rgacli
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.results import save_results
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.near_misses import find_nearly

FILES = {"calibration": "calibration", "count_error": "count_error", "error_types": "errors"}


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two heads' results files; the annotations lie beside them."""
    monkeypatch.chdir(tmp_path)
    annotations = random_annotations(0)
    Path("annotations.json").write_text(json.dumps(annotations))
    for seed, name in enumerate(("one", "two")):
        save_results(f"{name}.json", noisy_detections(annotations, seed))
    return {"1:1": Path("one.json"), "1:9": Path("two.json")}


def called(name, results, **options):
    quick = {"bootstrap": 2} if name == "count_error" else {}
    return getattr(rgacli, name)(**{**quick, "results": results, "annotations": Path("annotations.json"), **options})


@pytest.mark.parametrize("name", FILES)
def test_results_of_any_detector_are_looked_at_in_ones_own_bins(results, name):
    found = called(name, results, bins="5+,1-4", out="mine")
    assert found.figure == Path("mine") / f"{FILES[name]}.png"
    assert found.about["bins"] == "1-4,5+"
    assert {(row.name, row.bin) for row in found.rows} == {
        (head, label) for head in results for label in ("all", "1-4", "5+")
    }
    assert found.conclusion
    assert found.paper
    assert called(name, results).about["bins"] == "1-3,4-7,8+"


def test_the_heads_of_a_run_are_looked_at_by_their_names(tmp_path, finished_run, tiny_dataset, monkeypatch):
    shutil.copytree(finished_run, tmp_path / "runs/base")
    monkeypatch.chdir(tmp_path)
    find_nearly(monkeypatch, tiny_dataset / "annotations/test.json")
    for name, file in FILES.items():
        found = getattr(rgacli, name)("base")
        assert list(dict.fromkeys(row.name for row in found.rows)) == ["1:1", "1:9", "ensemble"]
        assert found.figure == Path(f"runs/base/figures/test/{file}.png")


@pytest.mark.parametrize("name", ["count_error", "error_types"])
def test_a_higher_score_leaves_fewer_detections(results, name):
    def number(score):
        rows = [row for row in called(name, results, score=score).rows if row.bin == "all"]
        return sum(row.detections if name == "count_error" else row.count * (row.error != "Miss") for row in rows)

    assert number(0) > number(0.3) > number(0.9)
    assert called(name, results, score=0.9).about["score"] == 0.9


@pytest.mark.parametrize("name", ["calibration", "error_types"])
def test_how_many_detections_count_matters(results, name):
    assert called(name, results).rows != called(name, results, max_dets=1).rows


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("calibration", dict(bins="3-1"), "reversed"),
        ("calibration", dict(style="poster"), "style=poster: it can be"),
        ("calibration", dict(max_dets=0), "max_dets=0: it must be at least 1"),
        ("count_error", dict(score=1.5), "score=1.5: scores lie between 0 and 1"),
        ("count_error", dict(bootstrap=-1), "bootstrap=-1: it must be at least 0"),
        ("error_types", dict(score=-0.1), "score=-0.1: scores lie between 0 and 1"),
        ("error_types", dict(runs="base"), "results stand alone"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(results, name, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        called(name, results, **options)
    assert not Path("figures").exists()


@pytest.mark.parametrize("name", ["calibration", "count_error"])
def test_scores_that_are_no_probabilities_are_refused_by_their_detectors_name(results, name):
    detections = json.loads(results["1:9"].read_text())
    results["1:9"].write_text(json.dumps([*detections, {**detections[0], "score": 12.5}]))
    with pytest.raises(DataError, match=r"1:9: 1 of \d+ detections have a score outside \[0, 1\] \(first: 12.5\)"):
        called(name, results)
