import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from rgacli.analysis.gt_bins.compared import training_of
from rgacli.api.evaluate import evaluate
from rgacli.api.gt_bins import gt_bins
from rgacli.config.files import load_config
from rgacli.config.recipe import set_method
from rgacli.errors import UsageError
from rgacli.evaluation import detect
from rgacli.evaluation.results import save_results
from rgacli.method import parse_ratios
from tests.conftest import ON_THE_CPU
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.near_misses import find_nearly

HEADS = ["1:1", "1:9", "ensemble"]
BINS = {"all": range(10**6), "1-3": range(1, 4), "4-7": range(4, 8), "8+": range(8, 10**6)}


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_run, tiny_dataset):
    """A folder with runs/base, whose detections are made. Tests draw figures in it and add runs, no more."""
    root = tmp_path_factory.mktemp("home")
    shutil.copytree(finished_run, root / "runs/base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ON_THE_CPU)
        patch.chdir(root)
        find_nearly(patch, tiny_dataset / "annotations/test.json")
        evaluate("base")
    return root


@pytest.fixture
def run(home, tiny_dataset, monkeypatch):
    """The run, which lies in the working folder; further ones would find as much."""
    monkeypatch.chdir(home)
    find_nearly(monkeypatch, tiny_dataset / "annotations/test.json")
    return home / "runs/base"


@pytest.fixture
def counts(tiny_dataset):
    """Number of objects of each image."""
    content = json.loads((tiny_dataset / "annotations/test.json").read_text())
    found = dict.fromkeys([image["id"] for image in content["images"]], 0)
    for entry in content["annotations"]:
        found[entry["image_id"]] += 1
    return found


def drawn(result):
    """What the CSV beside the figure holds."""
    with result.figure.with_suffix(".csv").open(newline="") as file:
        return list(csv.DictReader(file))


def names(result):
    return [row.name for row in result.rows if row.bin == "all"]


def test_bins_count_their_images_and_objects(run, undrawn, counts):
    result = gt_bins("base", bootstrap=0)
    assert result.about["bins"] == "1-3,4-7,8+"
    assert [(row.name, row.bin) for row in result.rows] == [(head, label) for head in HEADS for label in BINS]
    for row in result.rows:
        inside = [count for count in counts.values() if count in BINS[row.bin]]
        assert (row.images, row.objects) == (len(inside), sum(inside))


def test_all_images_have_the_ap_that_evaluate_says(run, home, undrawn):
    shutil.copytree(run, home / "runs/measured")
    heads = evaluate("measured", head="all").heads
    rows = [row for row in gt_bins("measured", bootstrap=0).rows if row.bin == "all"]
    assert len({row.AP for row in rows}) == len(HEADS)
    for row in rows:
        found = {key: getattr(row, key) for key in ("AP", "AP50", "AP75")}
        assert found == pytest.approx({key: heads[row.name][key] for key in found})


def test_the_figure_lies_in_the_run_beside_the_rows_that_were_drawn(run, caplog):
    caplog.set_level("INFO", "rgacli")
    result = gt_bins("base", bootstrap=20)
    assert result.figure == Path("runs/base/figures/test/gt_bins.png")
    assert [message for name, _, message in caplog.record_tuples if name == "rgacli"] == [
        "base: using the detections in runs/base/detections/test",
        "figure: runs/base/figures/test/gt_bins.png, gt_bins.svg; data: runs/base/figures/test/gt_bins.csv",
    ]
    assert result.figure.read_bytes().startswith(b"\x89PNG")
    rows = [vars(row) for row in result.rows if not math.isnan(row.AP)]
    assert drawn(result) == [{key: str(value) for key, value in row.items()} for row in rows]
    assert {row["bin"] for row in rows} == {"all", "1-3", "4-7"}  # no image has 8 objects
    assert all(row["AP_low"] < row["AP_high"] for row in rows if row["bin"] == "all")


def test_bins_may_be_ones_own_with_gaps_and_intervals_left_out(run, undrawn, counts):
    few, many = sorted(counts.values())
    result = gt_bins("base", bins=f"{many},{few}", bootstrap=0, out="mine")
    assert result.about["bins"] == f"{few},{many}"
    assert [row.bin for row in result.rows[:3]] == ["all", str(few), str(many)]
    assert all(math.isnan(row.AP_low) for row in result.rows)
    assert result.figure == Path("mine/gt_bins.png")


def test_detections_that_are_there_are_not_made_again(run, undrawn, monkeypatch):
    monkeypatch.setattr(detect, "detect", None)
    monkeypatch.setattr("rgacli.evaluation.split_detections.detect", None)
    assert names(gt_bins("base", bootstrap=0)) == HEADS


def test_several_runs_stand_side_by_side_and_leave_their_own_figures_alone(run, home):
    other = shutil.copytree(run, home / "runs/other")
    shutil.rmtree(other / "figures", ignore_errors=True)
    gt_bins("base", bootstrap=0)
    before = (run / "figures/test/gt_bins.csv").read_bytes()
    result = gt_bins(["base", "other"], bootstrap=0)
    assert names(result) == [f"{name} {head}" for name in ("base", "other") for head in HEADS]
    assert {(row.run, row.head) for row in result.rows} == {
        (name, head) for name in ("base", "other") for head in HEADS
    }
    assert result.figure == Path("figures/test/gt_bins.png")
    assert {row["name"] for row in drawn(result)} == set(names(result))
    assert (run / "figures/test/gt_bins.csv").read_bytes() == before
    assert not (other / "figures").exists()


def test_figures_of_several_runs_on_two_splits_lie_apart(run, home, undrawn, tiny_dataset, monkeypatch):
    shutil.copytree(run, home / "runs/third")
    find_nearly(monkeypatch, tiny_dataset / "annotations/val.json")
    assert gt_bins(["base", "third"], split="val", bootstrap=0).figure == Path("figures/val/gt_bins.png")


def test_runs_on_one_dataset_by_two_paths_are_compared_and_on_two_datasets_are_not(run, home, undrawn, tiny_dataset):
    (home / "link").symlink_to(tiny_dataset)
    shutil.copytree(tiny_dataset, home / "copy")
    for name in ("link", "copy"):
        config = shutil.copytree(run, home / "runs" / f"on-{name}") / "config.py"
        config.write_text(config.read_text().replace(str(tiny_dataset), str(home / name)))
    assert len(names(gt_bins(["base", "on-link"], bootstrap=0))) == 2 * len(HEADS)
    with pytest.raises(UsageError, match=r"the runs' test splits differ \(.*copy.*\): name one dataset by data"):
        gt_bins(["base", "on-copy"])


def test_a_run_is_compared_with_another_ones_ensemble(run, home, undrawn):
    shutil.copytree(run, home / "runs/fourth")
    result = gt_bins(["base", "fourth"], baseline="fourth", bootstrap=0)
    assert result.about["baseline"] == "fourth ensemble"
    ap = {row.name: row.AP for row in result.rows if row.bin == "all"}
    for row in result.rows:
        if row.bin == "all" and row.name != "fourth ensemble":
            assert row.difference == pytest.approx(row.AP - ap["fourth ensemble"])
    assert {row.line for row in result.rows} == {"base (PRM)", "fourth (PRM)"}


def test_an_unknown_baseline_is_refused(run, undrawn):
    with pytest.raises(UsageError, match=r"baseline=1:3: .* there are 1:1, 1:9, ensemble\."):
        gt_bins("base", baseline="1:3", bootstrap=0)


def test_training_is_what_the_config_says():
    def training(*arguments):
        cfg = load_config("faster-rcnn_r18-lite_fpn_rga-prm")
        set_method(cfg, **dict(arguments))
        return training_of(cfg)

    prm, one = training(), training(("ratios", parse_ratios("1:9")), ("lambda0", 3))
    assert (prm.heads, prm.ratio) == (("1:1", "1:9", "ensemble"), None)
    assert (one.heads, one.ratio) == (("1:9",), "1:9")
    assert {key for key in one.settings if one.settings[key] != prm.settings[key]} == {"annealing"}
    assert one.settings["annealing"] == "λ0 3 (linear)"


def test_runs_of_one_name_are_told_apart_by_their_paths(run, home, undrawn):
    shutil.copytree(run, home / "elsewhere/base")
    assert names(gt_bins(["base", home / "elsewhere/base"], bootstrap=0)) == [
        f"{path} {head}" for path in ("runs/base", home / "elsewhere/base") for head in HEADS
    ]


def test_a_run_named_twice_is_refused(run):
    with pytest.raises(UsageError, match="run base stands twice"):
        gt_bins(["base", run])


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two detectors' results files, and the annotations."""
    monkeypatch.chdir(tmp_path)
    annotations = random_annotations(0)
    Path("annotations.json").write_text(json.dumps(annotations))
    for seed, name in enumerate(("one", "two")):
        save_results(f"{name}.json", noisy_detections(annotations, seed))
    return {"a": Path("one.json"), "b c": Path("two.json")}


def test_results_of_any_detector_are_binned_under_their_names(results, undrawn):
    result = gt_bins(results=results, annotations=Path("annotations.json"), bootstrap=0)
    assert result.figure == Path("figures/gt_bins.png")
    assert names(result) == ["a", "b c"]
    assert [(row.run, row.head) for row in result.rows[::4]] == [("", "a"), ("", "b c")]
    as_text = [f"{name}={file}" for name, file in results.items()]
    again = gt_bins(results=as_text, annotations=Path("annotations.json"), bootstrap=0)
    assert [str(row) for row in again.rows] == [str(row) for row in result.rows]  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (dict(runs="base"), "results stand alone: leave out runs, which, checkpoint, config, data, split and device"),
        (dict(split="val"), "results stand alone"),
        (dict(device="cpu"), "results stand alone"),
        (dict(annotations=None), "results needs annotations=FILE"),
        (dict(results=None), "annotations goes with results=NAME=FILE; a run's dataset is named by data"),
        (dict(bins="1-3,2+"), "overlap"),
        (dict(bootstrap=-1), "bootstrap=-1: it must be at least 0"),
    ],
)
def test_contradictions_are_refused_before_the_work(results, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        gt_bins(**{"results": results, "annotations": Path("annotations.json"), **options})
    assert not Path("figures").exists()


def test_a_run_and_a_checkpoint_are_refused(run):
    with pytest.raises(UsageError, match="give runs or checkpoint, not both"):
        gt_bins("base", checkpoint=run / "checkpoints/epoch_3.pth")
