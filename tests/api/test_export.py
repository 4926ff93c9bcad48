import json
import logging
import shutil

import numpy as np
import pytest
from mmengine.config import Config

import rgacli
from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.detections import Detections
from rgacli.export.parity import Parity, compare_detections
from rgacli.modeling.checkpoints import read_checkpoint
from tests.conftest import ON_THE_CPU

HEADS = {"fold": "ensemble", "1to9": "1:9", "1to1": "1:1"}


def copy_run(finished_run, root):
    """A run in runs/ of a folder, which reports whatever it finds, however unsure of it."""
    run = shutil.copytree(finished_run, root / "runs/base")
    text = (run / "config.py").read_text()
    assert text.count("score_thr=0.05") == 1
    (run / "config.py").write_text(text.replace("score_thr=0.05", "score_thr=0.0"))
    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory, finished_run):
    """What an evaluated run is exported to, by place; and under "evaluated", what its heads are worth."""
    root = tmp_path_factory.mktemp("exported")
    copy_run(finished_run, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(*ON_THE_CPU)
        return {
            "root": root,
            "evaluated": rgacli.evaluate("base", head="all"),
            "fold": rgacli.export_fold("base"),
            "1to9": rgacli.export_head("base", head="1:9"),
            "1to1": rgacli.export_head("base", head="0"),
            "fold.onnx": rgacli.export_onnx("base"),
            "1to9.onnx": rgacli.export_onnx("base", head="1:9", check=1),
        }


@pytest.fixture
def home(exported, monkeypatch):
    """The folder of the exports, as the working folder. Not to be written to, but for new files."""
    monkeypatch.chdir(exported["root"])
    return exported["root"]


@pytest.fixture
def run(finished_run, tmp_path, monkeypatch):
    """A run of one's own in the working folder."""
    monkeypatch.chdir(tmp_path)
    return copy_run(finished_run, tmp_path)


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "rgacli")
    return lambda: "\n".join(record.getMessage() for record in caplog.records)


def saved(path):
    """The detections of a file in COCO's results format, image by image."""
    found = json.loads(path.read_text())
    for image in sorted({entry["image_id"] for entry in found}):
        own = [entry for entry in found if entry["image_id"] == image]
        boxes = np.array([entry["bbox"] for entry in own])
        boxes[:, 2:] += boxes[:, :2]
        scores, labels = (np.array([entry[key] for entry in own]) for key in ("score", "category_id"))
        yield Detections(boxes, scores, labels, ())


@pytest.mark.parametrize("place", HEADS)
def test_what_is_exported_evaluates_as_it_did_among_the_others(exported, home, place):
    result, expected = exported[place], exported["evaluated"]
    assert [path.as_posix() for path in (result.config, result.checkpoint)] == [
        f"runs/base/export/{place}/config.py",
        f"runs/base/export/{place}/model.pth",
    ]
    found = rgacli.evaluate(config=str(result.config), checkpoint=result.checkpoint)
    assert found.heads == {"detector": pytest.approx(expected.heads[HEADS[place]], abs=1e-4, nan_ok=True)}
    variant = "ensemble" if place == "fold" else place
    parity = compare_detections(
        saved(found.detections / "detector.json"), saved(expected.detections / f"{variant}.json")
    )
    assert parity.images == 2
    assert parity.detections > 50
    assert parity.within(0.01, 1e-3, unpaired=0.01)


@pytest.mark.parametrize(("place", "images"), [("fold", 2), ("1to9", 2), ("fold.onnx", 2), ("1to9.onnx", 1)])
def test_it_is_checked_on_the_test_splits_images(exported, place, images):
    assert exported[place].check.images == images
    assert exported[place].check.detections > 20
    assert exported[place].check.within(0.01, 1e-3, unpaired=0.01)


@pytest.mark.parametrize("place", ["fold.onnx", "1to9.onnx"])
def test_an_onnx_file_is_checked_in_batches_as_well(exported, place):
    assert list(exported[place].batches) == ["3", "mixed"]
    for parity in exported[place].batches.values():
        assert parity.images == 3  # the same images again
        assert parity.detections > 20
        assert parity.within(0.01, 1e-3, unpaired=0.01)


def test_the_files_stand_on_their_own_and_tell_where_they_come_from(exported, home):
    result, evaluated = exported["fold"], exported["evaluated"]
    cfg, meta = Config.fromfile(result.config), read_checkpoint(result.checkpoint)["meta"]
    assert "custom_imports" not in cfg
    assert "train_dataloader" not in cfg
    assert cfg.model.roi_head.type == "StandardRoIHead"
    assert meta["dataset_meta"]["classes"][0] == "disc"
    assert result.provenance == meta["provenance"] == cfg.provenance.to_dict()
    metrics = {name: value for name, value in evaluated.heads["ensemble"].items() if not np.isnan(value)}
    assert metrics
    assert result.provenance == {
        "rgacli": rgacli.__version__,
        "run": "base",
        "checkpoint": "epoch_3.pth",
        "trained": exported["1to9"].provenance["trained"],
        "ratios": ["1:1", "1:9"],
        "lambda0": 7.0,
        "exported": "ensemble",
        "measured_on": evaluated.annotations,
        "max_dets": 100,
        "metrics": metrics,
    }
    assert result.provenance["trained"] == "2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)"
    assert exported["1to9"].provenance["exported"] == "1:9"


@pytest.mark.parametrize(("place", "head"), [("fold.onnx", "ensemble"), ("1to9.onnx", "1:9")])
def test_an_onnx_file_detects_as_its_run_does(exported, home, tiny_dataset, place, head):
    assert exported[place].onnx.as_posix() == f"runs/base/export/{place}"
    detector, images = rgacli.load(exported[place].onnx), sorted((tiny_dataset / "images/test").iterdir())
    assert (detector.heads, detector.classes[0]) == (("detector",), "disc")
    expected = [prediction[head] for prediction in rgacli.load("base", device="cpu")(images)]
    parity = compare_detections([prediction["detector"] for prediction in detector(images)], expected)
    assert parity.detections > 50
    assert parity.within(0.01, 1e-3, unpaired=0.01)


def test_a_detector_without_parallel_heads_is_exported_as_it_is(exported, home, tmp_path):
    result = rgacli.export_onnx("runs/base/export/fold", out=tmp_path / "mine.onnx")
    assert result.onnx == tmp_path / "mine.onnx"
    assert result.check.detections > 20
    assert result.provenance == exported["fold"].provenance  # the run's, not the export's


@pytest.mark.parametrize(
    ("command", "file"),
    [("export_fold", "fold/model.pth"), pytest.param("export_onnx", "fold.onnx", marks=pytest.mark.slow)],
)
def test_what_does_not_pass_its_check_is_not_kept(run, command, file, monkeypatch):
    export = getattr(rgacli, command)
    monkeypatch.setattr(Parity, "within", lambda self, **_: False)
    with pytest.raises(RunFailed, match="not detect what ensemble does, and is not kept: 2 images"):
        export("base")
    assert not [path for path in (run / "export").rglob("*") if path.is_file()]
    unchecked = export("base", check=0)
    assert unchecked.check is None
    assert not getattr(unchecked, "batches", None)
    before = (run / "export" / file).read_bytes()
    with pytest.raises(RunFailed):
        export("base")
    assert (run / "export" / file).read_bytes() == before


@pytest.mark.parametrize("command", ["export_fold", "export_onnx"])
def test_an_export_takes_no_dataset(run, command, told):
    config = run / "config.py"
    config.write_text(
        config.read_text() + "\ntest_dataloader['dataset'].update(ann_file='moved.json', data_root='gone')\n"
    )
    result = getattr(rgacli, command)("base")
    assert (result.check, result.provenance["metrics"], result.provenance["measured_on"]) == (None, {}, None)
    assert "base: not checked, for the test split's images are not there" in told()
    assert "base: without metrics, as there are none on the test split (rgacli.evaluate makes them)" in told()


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("export_onnx", dict(run="base", head="all"), "head=all: an export is of one head, or of their ensemble"),
        ("export_onnx", dict(run="base", out="model.bin"), "out=model.bin: the name of an ONNX file ends in .onnx"),
        ("export_onnx", dict(run="base", check=-1), "check=-1: a number of images"),
        ("export_head", dict(run="base", head="ensemble"), "rgacli.export_fold exports the ensemble"),
        ("export_head", dict(run="base", head="all"), "head=all: an export is of one head"),
        ("export_head", dict(run="base", head="1:5"), "head=1:5: this detector has 1:1, 1:9"),
        ("export_head", dict(run="runs/base/export/fold", head="0"), "FasterRCNN has no parallel heads"),
        ("export_fold", dict(run="runs/base/export/fold"), "FasterRCNN has no parallel heads: it is a stock detector"),
        ("export_fold", dict(run="gone"), "no run 'gone'"),
        ("export_fold", dict(checkpoint="runs/base/export/fold.onnx"), "only rgacli.predict and rgacli.load run"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(home, command, arguments, complaint):
    before = sorted(home.rglob("*"))
    with pytest.raises(UsageError) as refused:
        getattr(rgacli, command)(**arguments)
    assert complaint in str(refused.value)
    assert sorted(home.rglob("*")) == before
