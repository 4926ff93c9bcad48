import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import rgacli
from rgacli.errors import DataError, UsageError
from rgacli.export.stock import write_stock
from tests.conftest import ON_THE_CPU
from tests.support import inferring

HEADS = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_run, tiny_dataset):
    """A folder with an evaluated run that finds something, its export, and photos/. Tests add folders, no more."""
    root = tmp_path_factory.mktemp("home")
    run = shutil.copytree(finished_run, root / "runs/base")
    text = (run / "config.py").read_text()
    assert text.count("score_thr=0.05") == 1
    (run / "config.py").write_text(text.replace("score_thr=0.05", "score_thr=0.0"))
    shutil.copytree(tiny_dataset / "images/test", root / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(*ON_THE_CPU)
        classes = rgacli.load("base").classes
        about = dict(classes=classes, ann_file="", provenance={})
        write_stock(inferring.config(run), run / "checkpoints/epoch_3.pth", run / "export/fold", **about)
        rgacli.evaluate("base", head="all")
    return root


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.fixture(scope="module")
def by_head(home):
    """The photos' detections of every head, whatever their score, under all/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(*ON_THE_CPU)
        return rgacli.predict("photos", head="all", score=0, out=Path("all"))


def content(path):
    """A predictions.json, its detections by image."""
    found = json.loads(Path(path).read_text())
    return {
        Path(image["file_name"]).name: [
            {key: value for key, value in entry.items() if key != "id"}
            for entry in found["annotations"]
            if entry["image_id"] == image["id"]
        ]
        for image in found["images"]
    }


def test_the_result_says_what_was_found_and_where_it_lies(by_head, home):
    assert (by_head.run, by_head.checkpoint) == ("base", Path("runs/base/checkpoints/epoch_3.pth"))
    assert (by_head.images, by_head.inputs, by_head.skipped, by_head.out) == (2, 2, (), Path("all"))
    assert by_head.classes[0] == "disc"
    assert by_head.predictions == {name: Path("all") / slug / "predictions.json" for slug, name in HEADS.items()}
    for name, path in by_head.predictions.items():
        found = sum(map(len, content(path).values()))
        assert found == sum(by_head.detections[name].values()) > 20
        assert set(by_head.detections[name]) <= set(by_head.classes)
        assert {picture.suffix for picture in path.parent.iterdir()} == {".jpg", ".json"}


def test_what_is_written_is_what_evaluation_saves(by_head, tiny_dataset):
    annotations = json.loads((tiny_dataset / "annotations/test.json").read_text())
    ids = {image["id"]: Path(image["file_name"]).name for image in annotations["images"]}
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    for slug, head in HEADS.items():
        saved = json.loads(Path(f"runs/base/detections/test/{slug}.json").read_text())
        found = content(by_head.predictions[head])
        own = json.loads(by_head.predictions[head].read_text())["categories"]
        assert len(saved) == sum(map(len, found.values())) > 0
        for image_id, name in ids.items():
            expected = [entry for entry in saved if entry["image_id"] == image_id]
            assert [own[e["category_id"] - 1]["name"] for e in found[name]] == [
                names[e["category_id"]] for e in expected
            ]
            for key in ("bbox", "score"):
                np.testing.assert_allclose([e[key] for e in found[name]], [e[key] for e in expected], atol=1e-3)


def test_what_is_written_is_what_a_loaded_detector_finds():
    detector = rgacli.load("base", device="cpu")
    found = {path.name: detector(path)["ensemble"] for path in Path("photos").iterdir()}
    middle = float(np.median(np.concatenate([detections.scores for detections in found.values()])))
    result = rgacli.predict("photos", score=middle, out="middle")
    assert list(result.predictions) == ["ensemble"]
    written = content("middle/predictions.json")
    assert sum(map(len, written.values())) > 0
    for name, detections in found.items():
        expected = detections.above(middle)
        boxes = expected.boxes.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        assert [entry["score"] for entry in written[name]] == pytest.approx(expected.scores.tolist(), abs=1e-6)
        assert [entry["category_id"] - 1 for entry in written[name]] == expected.labels.tolist()
        np.testing.assert_allclose(np.reshape([e["bbox"] for e in written[name]], (-1, 4)), boxes, atol=1e-3)


def test_one_head_is_found_alone(by_head):
    result = rgacli.predict("photos", head="1:9", score=0, out=Path("alone"))
    assert result.detections == {"1:9": by_head.detections["1:9"]}
    assert content("alone/predictions.json") == content("all/1to9/predictions.json")
    assert content("alone/predictions.json") != content("all/1to1/predictions.json")


def test_pictures_keep_their_names_and_what_is_below_the_score_is_left_out(by_head):
    none = rgacli.predict(["photos/*.jpg"], score=1, batch_size=1, out=Path("none"))
    assert (none.images, none.detections) == (2, {"ensemble": {}})
    assert not any(content("none/predictions.json").values())
    for path in Path("photos").iterdir():
        drawn, bare = (cv2.imread(f"{folder}/{path.name}").astype(int) for folder in ("all/ensemble", "none"))
        assert drawn.shape == bare.shape == (640, 640, 3)  # enlarged tenfold
        assert abs(drawn - bare).mean() > 5
        assert abs(bare[5::10, 5::10] - cv2.imread(str(path))).mean() < 8


def test_side_by_side_has_a_panel_per_head_whichever_head_is_written():
    result = rgacli.predict("photos", head="0", side_by_side=True, out=Path("panels"))
    assert list(result.detections) == ["1:1"]
    for path in Path("photos").iterdir():
        height, width, _ = cv2.imread(f"panels/{path.name}").shape
        assert height > 640
        assert width > 3 * 640


def test_by_default_it_goes_into_the_run():
    result = rgacli.predict("photos", run="base")
    assert result.out.parent == Path("runs/base/predictions")
    assert len(list(result.out.glob("*.jpg"))) == 2


def test_an_export_predicts_as_the_ensemble(by_head):
    result = rgacli.predict("photos", run="runs/base/export/fold", score=0, out=Path("folded"))
    assert list(result.detections) == ["detector"]
    for name, expected in content("all/ensemble/predictions.json").items():
        scores = [entry["score"] for entry in content("folded/predictions.json")[name]]
        assert scores == pytest.approx([entry["score"] for entry in expected], abs=1e-4)


def test_what_cannot_be_read_is_in_the_result(tmp_path):
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no image")
    result = rgacli.predict([damaged, "photos"], out=tmp_path / "out")
    assert (result.inputs, result.images, result.skipped) == (3, 2, (damaged,))
    assert len(content(tmp_path / "out/predictions.json")) == 2


def test_nothing_readable_is_an_error_that_leaves_nothing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing could be read of .*a\.jpg"):
        rgacli.predict(tmp_path / "a.jpg", out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(inputs="gone.jpg"), "gone.jpg: no such file or folder"),
        (dict(inputs="photos", run="gone"), "no run 'gone'"),
        (dict(inputs="photos", run="base", checkpoint="x.onnx"), "give a run or checkpoint, not both"),
        (dict(inputs="photos", head="1:5"), "head=1:5: this detector has 1:1, 1:9"),
        (dict(inputs="photos", score=2), "score=2: scores lie between 0 and 1"),
        (dict(inputs="photos", batch_size=0), "batch_size=0: at least one image"),
        (dict(inputs="photos", out="photos"), "would overwrite photos/000001.jpg: choose another folder by out"),
        (dict(inputs="photos", checkpoint="gone.pth"), "checkpoint gone.pth does not exist"),
        (
            dict(inputs="photos", run="runs/base/export/fold", side_by_side=True),
            "side_by_side=True: fold has a single head (detector)",
        ),
    ],
)
def test_mistakes_are_refused_and_leave_nothing(home, arguments, complaint):
    before = sorted(home.rglob("*"))
    with pytest.raises(UsageError) as refused:
        rgacli.predict(**arguments)
    assert complaint in str(refused.value)
    assert sorted(home.rglob("*")) == before


def test_tiles_are_merged_as_evaluation_merges_them(home, by_head, tiny_dataset):
    pytest.importorskip("sahi")
    tiled = rgacli.predict("photos", head="all", score=0, out=Path("tiled"), tiles=48)
    assert tiled.detections != by_head.detections
    evaluated = rgacli.evaluate("base", head="all", tiles=48)
    assert (evaluated.views, evaluated.detections) == ("tiles-48-0.2", Path("runs/base/detections/test-tiles-48-0.2"))
    annotations = json.loads((tiny_dataset / "annotations/test.json").read_text())
    for slug, head in HEADS.items():
        saved = json.loads((evaluated.detections / f"{slug}.json").read_text())
        for image in annotations["images"]:
            own = [detection for detection in saved if detection["image_id"] == image["id"]]
            found = content(tiled.predictions[head])[Path(image["file_name"]).name]
            assert len(found) == len(own) > 20
            for key in ("bbox", "score"):
                assert np.allclose([one[key] for one in found], [one[key] for one in own], atol=1e-4)


def test_an_overlap_without_tiles_costs_one_line():
    with pytest.raises(UsageError, match=r"tile_overlap=0.5 goes with tiles\."):
        rgacli.predict("photos", tile_overlap=0.5)


def test_each_call_has_a_folder_of_its_own_whoever_else_began_in_the_same_second(monkeypatch):
    monkeypatch.setattr("rgacli.api.predict.time.strftime", lambda form: "now")
    found = [rgacli.predict("photos", run="base", score=0, device="cpu").out for _ in range(3)]
    assert [out.name for out in found] == ["now", "now_2", "now_3"]
    assert all((out / "predictions.json").is_file() for out in found)
    for out in found:
        shutil.rmtree(out)
    Path("none.jpg").touch()
    with pytest.raises(DataError, match="nothing could be read"):
        rgacli.predict("none.jpg", run="base", device="cpu")
    assert not list(Path("runs/base").glob("predictions/now*"))
