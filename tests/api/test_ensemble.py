import csv
import json
import logging
import shutil
from pathlib import Path

import pytest

from rgacli.api.ensemble import ensemble
from rgacli.api.evaluate import evaluate
from rgacli.api.gt_bins import gt_bins
from rgacli.config.files import load_config
from rgacli.errors import UsageError
from rgacli.evaluation.results import save_results
from rgacli.method import ENSEMBLING_METHODS
from rgacli.modeling.build import build_detector
from tests.cli.commands import snapshot
from tests.conftest import ON_THE_CPU
from tests.evaluation.coco_samples import noisy_detections, pycocotools_metrics, random_annotations
from tests.support.near_misses import find_nearly
from tests.support.processes import python_code

HEADS = ["1:1", "1:9"]
FILES = {"1:1": "1to1", "1:9": "1to9"}
OF_LOGITS = ["ensemble", "average-probs", "average-boxes"]
OF_RESULTS = ["joint-nms", "wbf", "oracle"]
QUICK = dict(bootstrap=2, timed=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_run, tiny_dataset):
    """A folder with runs/base, whose detections are near misses. Tests add runs to it and draw figures in it."""
    root = tmp_path_factory.mktemp("home")
    shutil.copytree(finished_run, root / "runs/base")
    return root


@pytest.fixture(scope="module")
def compared(home, tiny_dataset):
    """All methods on the heads of the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ON_THE_CPU)
        patch.chdir(home)
        find_nearly(patch, tiny_dataset / "annotations/test.json")
        return ensemble("base", bootstrap=5, timed=2)


@pytest.fixture
def run(compared, home, tiny_dataset, monkeypatch):
    """The run, in runs/ of the working folder; further ones would find as much."""
    monkeypatch.chdir(home)
    find_nearly(monkeypatch, tiny_dataset / "annotations/test.json")
    return Path("runs/base")


@pytest.fixture
def fresh(tmp_path, finished_run, monkeypatch):
    """A copy of the run without detections, in runs/ of an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished_run, tmp_path / "runs/base")).relative_to(tmp_path)


@pytest.fixture
def other(fresh):
    """A second one, of the same weights."""
    return Path(shutil.copytree(fresh, "runs/other"))


@pytest.fixture
def undrawn(monkeypatch):
    """Spares the figure, which takes as long as all else."""
    monkeypatch.setattr("rgacli.api.ensemble.plot", lambda *arguments: None)


@pytest.fixture
def told(caplog):
    """What is told meanwhile."""
    caplog.set_level(logging.INFO, "rgacli")
    return caplog


def names(rows):
    return [row.name for row in rows]


# --- the heads of one detector


def test_every_method_is_measured_on_what_is_saved_of_it(compared, run, tiny_dataset):
    annotations = json.loads((tiny_dataset / "annotations/test.json").read_text())
    assert names(compared.members) == HEADS
    assert names(compared.methods) == list(ENSEMBLING_METHODS)
    paper = compared.methods[0]
    for row in (*compared.members, *compared.methods):
        saved = json.loads((compared.detections / f"{FILES.get(row.name, row.name)}.json").read_text())
        reference = pycocotools_metrics(annotations, saved)
        for metric in ("AP", "AP50", "AP75"):
            assert getattr(row, metric) == pytest.approx(reference[metric], abs=1e-6)
        assert set(row.bins) == {"1-3", "4-7", "8+"}
        if row is not paper:
            assert row.difference == pytest.approx(row.AP - paper.AP, abs=1e-9)
            assert row.difference_low <= row.difference <= row.difference_high
    assert 0 < paper.AP < 1
    assert len({row.AP for row in (*compared.members, *compared.methods)}) > 4
    assert paper.difference is None
    assert compared.reference == "ensemble"


def test_what_the_ensemble_gains_over_each_head_is_told(compared):
    for row in compared.members:
        assert row.gain == pytest.approx(compared.methods[0].AP - row.AP, abs=1e-9)
        assert row.gain_low < row.gain < row.gain_high


def test_costs_are_of_the_detector_with_one_head_and_with_all(compared, run):
    model = build_detector(load_config(str(run / "config.py")))
    head, whole = (sum(p.numel() for p in part.parameters()) for part in (model.roi_head.bbox_head[0], model))
    assert {row.parameters for row in compared.members} == {whole - head}
    assert {row.parameters for row in compared.methods} == {whole}
    timed = {row.name for row in compared.methods if row.added_seconds is not None}
    assert timed == set(ENSEMBLING_METHODS) - {"oracle"}
    assert all(row.added_seconds is None for row in compared.members)
    assert compared.timing.images == 2
    assert compared.timing.single_seconds > 0
    assert compared.timing.device


def test_the_figure_lies_beside_the_rows_that_were_drawn(compared, run):
    assert compared.figure == run / "figures/test/ensembles.png"
    assert compared.figure.read_bytes().startswith(b"\x89PNG")
    with compared.figure.with_suffix(".csv").open(newline="") as file:
        drawn = list(csv.DictReader(file))
    rows = [*compared.members, *compared.methods]
    assert [(row["name"], row["AP"]) for row in drawn] == [(row.name, str(row.AP)) for row in rows]


def test_the_oracle_and_dispatch_say_what_they_chose_by(compared, tiny_dataset):
    assert set(compared.oracle) == {"all", "1-3", "4-7", "8+"}
    assert set(compared.oracle.values()) <= set(HEADS)
    assert compared.dispatch.calibrated_on == str(tiny_dataset / "annotations/val.json")
    assert 0 < compared.dispatch.threshold < 1
    assert set(compared.dispatch.variants) == {"1-3", "4-7", "8+"}


def test_the_ensemble_is_there_with_its_costs_when_others_are_asked_for(run, undrawn):
    result = ensemble("base", method="wbf", bootstrap=2, timed=1)
    paper, wbf = result.methods
    assert (paper.name, wbf.name) == ("ensemble", "wbf")
    assert paper.parameters == wbf.parameters > 0
    assert paper.added_seconds is not None
    assert result.dispatch is result.oracle is None


def test_bins_and_the_place_of_the_figure_may_be_ones_own(run, tiny_dataset):
    content = json.loads((tiny_dataset / "annotations/test.json").read_text())
    counts = [sum(entry["image_id"] == image["id"] for entry in content["annotations"]) for image in content["images"]]
    few, many = sorted(counts)
    result = ensemble(run, method=["ensemble"], bins=f"{many}+,{few}", out=Path("mine"), **QUICK)
    assert result.images == {str(few): 1, f"{many}+": 1}
    assert all(set(row.bins) == set(result.images) for row in result.methods)
    assert result.figure == Path("mine/ensembles.png")
    assert {path.name for path in Path("mine").iterdir()} == {f"ensembles.{kind}" for kind in ("png", "svg", "csv")}


def test_untimed_methods_have_no_time(run, undrawn):
    result = ensemble("base", **QUICK)
    assert result.timing is None
    assert {row.added_seconds for row in result.methods} == {None}


@pytest.mark.parametrize(("split", "calibrate", "expected"), [("val", None, "train"), ("train", None, "val")])
def test_dispatch_is_calibrated_on_another_split_than_the_one_evaluated(
    run, undrawn, tiny_dataset, split, calibrate, expected
):
    result = ensemble("base", split=split, method="dispatch", calibrate=calibrate, **QUICK)
    assert result.dispatch.calibrated_on == str(tiny_dataset / f"annotations/{expected}.json")
    assert names(result.methods) == ["ensemble", "dispatch"]
    assert result.split == split


def test_dispatch_is_calibrated_on_the_split_that_is_named(run, undrawn, tiny_dataset, told):
    result = ensemble("base", method="dispatch", calibrate="train", **QUICK)
    assert result.dispatch.calibrated_on == str(tiny_dataset / "annotations/train.json")
    assert f"dispatch is calibrated on {tiny_dataset}/annotations/train.json (4 images)" in told.messages


def test_without_a_split_to_calibrate_on_dispatch_is_left_out_or_refused(run, undrawn, tiny_dataset, told, tmp_path):
    only = shutil.copytree(tiny_dataset, tmp_path / "only")
    for split in ("train", "test"):
        (only / f"annotations/{split}.json").unlink()
    result = ensemble("base", data=only, **QUICK)
    assert any(line.startswith("without dispatch: ") for line in told.messages)
    assert names(result.methods) == [method for method in ENSEMBLING_METHODS if method != "dispatch"]
    with pytest.raises(UsageError, match=r"^method=dispatch: "):
        ensemble("base", data=only, method="dispatch")


def test_detections_are_made_once_for_all_methods(fresh, undrawn, told):
    ensemble("base", method=OF_LOGITS, **QUICK)
    assert not any("using the detections" in line for line in told.messages)
    ensemble("base", method="average-probs", **QUICK)
    assert "base: using the detections in runs/base/detections/test" in told.messages
    told.clear()
    (fresh / "detections/test/average-probs.json").write_text("[")
    ensemble("base", method="average-probs", **QUICK)
    assert not any("using the detections" in line for line in told.messages)


def test_other_functions_use_the_heads_detections_and_are_not_shown_the_methods(run, told):
    rows = gt_bins("base", bootstrap=0).rows
    assert any("using the detections" in line for line in told.messages)
    assert {row.name for row in rows} == set(evaluate("base", head="all").heads) == {*HEADS, "ensemble"}


def test_each_batch_and_image_is_reported(fresh, undrawn):
    reports = []
    ensemble("base", bootstrap=2, timed=1, progress=lambda *report: reports.append(report))
    ends = {report[0] for report in reports if report[1] == report[2]}
    assert ends == {"evaluation", "joint-nms", "wbf", "timing", "comparing"}


# --- separate detectors


def test_a_detector_and_its_copy_ensemble_to_itself(fresh, other, undrawn, told):
    result = ensemble(["base", "other"], bootstrap=2, timed=1)
    assert names(result.members) == ["base", "other"]
    assert names(result.methods) == [*OF_LOGITS, *OF_RESULTS]
    assert result.detections == Path("ensembles/base+other/detections/test")
    assert result.figure == Path("ensembles/base+other/figures/test/ensembles.png")
    folders = (fresh / "detections/test", result.detections)
    alone, both = (json.loads((folder / "ensemble.json").read_text()) for folder in folders)
    assert len(alone) == len(both) > 0
    for one, two in zip(alone, both, strict=True):
        assert one["bbox"] == pytest.approx(two["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(two["score"], abs=1e-5)
    assert {path.stem for path in result.detections.glob("*.json")} == {*OF_LOGITS, *OF_RESULTS, "source"}
    single = result.members[0].parameters
    paper, *_, oracle = result.methods
    assert single < paper.parameters < oracle.parameters == 2 * single
    assert {row.name for row in result.methods if row.added_seconds is None} == {"oracle"}
    told.clear()
    again = ensemble(["base", "other"], method="average-boxes", bootstrap=2, timed=1)
    assert f"base + other: using the detections in {result.detections}" in told.messages
    assert names(again.methods) == ["ensemble", "average-boxes"]
    assert again.methods[0].parameters == paper.parameters
    assert again.methods[0].added_seconds is not None


def test_checkpoints_of_one_config_are_combined(fresh, other, undrawn):
    for run, name in ((fresh, "a.pth"), (other, "b.pth")):
        shutil.copy(run / "checkpoints/epoch_3.pth", name)
    named = dict(checkpoint=["a.pth", "b.pth"], config=fresh / "config.py")
    result = ensemble(**named, method="joint-nms", out=Path("mine"), **QUICK)
    assert names(result.members) == ["a", "b"]
    assert result.reference == "a"
    assert result.figure == Path("mine/ensembles.png")
    assert Path("mine/detections/test/joint-nms.json").is_file()
    assert not Path("ensembles").exists()


def test_checkpoints_of_one_run_take_its_config(fresh, undrawn):
    checkpoints = [fresh / f"checkpoints/epoch_{epoch}.pth" for epoch in (2, 3)]
    assert names(ensemble(checkpoint=checkpoints, method="joint-nms", **QUICK).members) == ["epoch_2", "epoch_3"]


def test_detectors_that_prepare_images_otherwise_have_no_ensemble_but_a_fusion(fresh, other, undrawn, told):
    config = other / "config.py"
    config.write_text(config.read_text() + "\nmodel['data_preprocessor']['std'] = [1.0, 2.0, 3.0]\n")
    result = ensemble(["base", "other"], bootstrap=2, timed=1)
    obstacle = "without ensemble, average-probs, average-boxes: other prepares images in another way than base"
    assert any(line.startswith(obstacle) for line in told.messages)
    assert names(result.methods) == OF_RESULTS
    assert result.reference == "base"
    assert {row.name for row in result.methods if row.added_seconds is None} == {"oracle"}
    with pytest.raises(UsageError, match=r"^method=ensemble: other prepares images in another way than base"):
        ensemble(["base", "other"], method="ensemble")


# --- results of any framework


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two detectors' results files, and the annotations."""
    monkeypatch.chdir(tmp_path)
    annotations = random_annotations(0)
    Path("annotations.json").write_text(json.dumps(annotations))
    for seed, name in enumerate(("one", "two")):
        save_results(f"{name}.json", noisy_detections(annotations, seed))
    return dict(results={"mine": Path("one.json"), "theirs": Path("two.json")}, annotations=Path("annotations.json"))


def test_results_files_are_fused_without_a_model(results, undrawn):
    result = ensemble(**results, bootstrap=5)
    assert result.run == "mine + theirs"
    assert result.split == result.annotations == "annotations.json"
    assert names(result.members) == ["mine", "theirs"]
    assert names(result.methods) == OF_RESULTS
    assert result.reference == "mine"
    assert result.members[0].gain is None
    assert result.members[1].gain == pytest.approx(result.members[0].AP - result.members[1].AP, abs=1e-9)
    joint = result.methods[0]
    assert joint.difference == pytest.approx(joint.AP - result.members[0].AP, abs=1e-9)
    assert joint.parameters is joint.added_seconds is result.timing is None
    assert {path.stem for path in Path("ensembles/mine+theirs/detections").iterdir()} == set(OF_RESULTS)


def test_what_results_files_make_lies_in_the_folder_that_is_named(results, undrawn):
    files = {"mine": Path("one.json"), "theirs": Path("two.json")}
    found = ensemble(results=files, annotations=Path("annotations.json"), method="wbf", out=Path("made"), **QUICK)
    assert found.detections == Path("made/detections")
    assert Path("made/detections/wbf.json").is_file()
    assert not Path("ensembles").exists()


def test_results_files_are_combined_without_torch_unless_a_method_needs_it(results):
    python_code(
        """
        import os, sys
        from pathlib import Path
        from rgacli.api.ensemble import ensemble
        os.chdir(sys.argv[1])
        files = {"mine": Path("one.json"), "theirs": Path("two.json")}
        ensemble(results=files, annotations=Path("annotations.json"), method=["wbf", "oracle"], bootstrap=2)
        assert not {"torch", "mmengine", "mmdet"} & sys.modules.keys()
        """,
        Path.cwd(),
    )
    assert Path("ensembles/mine+theirs/figures/ensembles.png").is_file()


# --- what cannot be combined


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(method="average"), "method=average: it can be one of ensemble, average-probs,"),
        (dict(method=["wbf", "nms"]), "method=nms: it can be one of ensemble"),
        (dict(bootstrap=1), "bootstrap=1: it must be at least 2"),
        (dict(timed=-1), "timed=-1: it must be at least 0"),
        (dict(bins="0-3"), "bin '0-3' starts below 1"),
        (dict(split="half"), "split=half: it can be one of train, val, test"),
        (dict(calibrate="half"), "calibrate=half: it can be one of train, val, test"),
        (dict(calibrate="test"), "calibrate=test is the split that is evaluated"),
        (dict(calibrate="val", method="wbf"), "calibrate goes with method=dispatch"),
        (dict(calibrate="val", runs=["base", "other"]), "calibrate goes with method=dispatch, which weighs the heads"),
        (dict(method="dispatch", runs=["base", "other"]), "method=dispatch: it weighs the heads of one run"),
        (dict(runs=["base", "base"]), "run base stands twice"),
        (dict(runs=["base", "gone"]), "no run 'gone'"),
        (dict(checkpoint="a.pth"), "checkpoint a.pth does not exist"),
        (dict(checkpoint="a.pth", runs="base"), "give runs or checkpoint, not both"),
        (dict(config="a.py"), "config says what a checkpoint was trained by"),
        (dict(checkpoint="a.pth", config=["a.py", "b.py"]), "config: 2 for 1 checkpoint; give one each, or one of all"),
        (dict(results=["a=a.json"]), "results needs annotations=FILE"),
        (dict(annotations="a.json"), "annotations goes with results=NAME=FILE"),
        (
            dict(results=["a=a.json"], runs="base"),
            "results stand alone: leave out runs, which, checkpoint, config",
        ),
        (dict(results=["a=a.json"], split="val"), "results stand alone"),
        (dict(results=["a=a.json"], device="cpu"), "results stand alone"),
        (dict(results=["a=a.json"], timed=3), "results stand alone"),
    ],
)
def test_what_cannot_be_combined_is_refused_before_the_work(fresh, other, arguments, complaint):
    before = snapshot(Path())
    with pytest.raises(UsageError) as refusal:
        ensemble(**arguments)
    assert str(refusal.value).startswith(complaint)
    assert snapshot(Path()) == before


def test_a_figure_without_a_place_is_told_of_before_the_work(fresh):
    Path("file").touch()
    with pytest.raises(FileExistsError):
        ensemble("base", out=Path("file/figures"))
    assert not (fresh / "detections").exists()
