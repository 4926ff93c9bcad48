import json
import math
import shutil
from contextlib import redirect_stdout
from io import StringIO

import pytest

from rgacli.evaluation.coco_metrics import METRICS
from tests.cli.commands import RUN, call, error_line, invoke, snapshot

BINS = ("analyze", "gt-bins", "--bootstrap", 0)
NAMES = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


def reference_ap(annotations, results):
    """pycocotools' AP, AP50, ... of a results file."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(METRICS, evaluation.stats[:6].tolist(), strict=True))


def test_json_is_all_that_stands_on_stdout(trained, folder):
    shutil.copytree(trained.root, folder, dirs_exist_ok=True)
    done = call("eval", RUN, "--head", "all", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["run"] == RUN
    assert shown["checkpoint"].endswith("epoch_3.pth")
    assert list(shown["heads"]) == list(NAMES.values())
    assert all(set(metrics) == set(METRICS) for metrics in shown["heads"].values())


def test_the_saved_detections_have_the_ap_that_is_shown(folder, run, dataset, near_misses):
    shown = json.loads(invoke("eval", "--head", "all", "--json").stdout)["heads"]
    for slug, name in NAMES.items():
        reference = reference_ap(dataset / "annotations/test.json", run / f"detections/test/{slug}.json")
        for metric, value in shown[name].items():
            assert (-1 if value is None else value) == pytest.approx(reference[metric], abs=1e-6)
    assert 0 < shown["1:1"]["AP"] < 1
    assert shown["1:1"] != shown["1:9"]


def test_the_table_shows_one_row_per_head_within_eighty_columns(folder, run, near_misses):
    result = invoke("eval", "--head", "all")
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == list(NAMES.values())
    assert "detections in runs/base/detections/test" in result.stderr


def test_masks_have_a_line_of_their_own_in_the_table_and_their_keys_in_json(folder, run, monkeypatch):
    from rgacli.evaluation.split_detections import SplitDetections

    boxes = dict.fromkeys(METRICS, 0.25)
    masks = {"mask_AP": 0.125, "mask_AP50": 0.5, "mask_AP75": 0.375}
    metrics = {"1to1": boxes, "1to9": boxes, "ensemble": {**boxes, **masks}}
    monkeypatch.setattr(SplitDetections, "detect", lambda found, progress: metrics)
    result = invoke("eval", "--head", "all")
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert [row[0] for row in rows] == ["1:1", "1:9", "ensemble", "ensemble, masks"]
    assert rows[-1][1:] == ["0.125", "0.500", "0.375", "-", "-", "-"]
    shown = json.loads(invoke("eval", "--json").stdout)["heads"]
    assert shown == {"ensemble": metrics["ensemble"]}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_has_detections_of_its_own(folder, run, dataset, split):
    shown = json.loads(invoke("eval", "--split", split, "--json").stdout)
    assert shown["annotations"] == str(dataset / f"annotations/{split}.json")
    assert (run / f"detections/{split}/ensemble.json").is_file()


def test_another_dataset_has_detections_of_its_own_and_its_val_stands_in_for_test(folder, run, dataset):
    other = shutil.copytree(dataset, folder / "other")
    (other / "annotations/test.json").unlink()
    shown = json.loads(invoke("eval", "--data", "other", "--json").stdout)
    assert (shown["split"], shown["annotations"]) == ("val", str(other / "annotations/val.json"))
    assert [path.name for path in (run / "detections").iterdir()] == ["other-val"]


def test_a_checkpoint_is_evaluated_by_its_config_into_a_folder_of_its_own(folder, run):
    shutil.copy(run / "checkpoints/epoch_3.pth", "mine.pth")
    shutil.copy(run / "config.py", "mine.py")
    shutil.rmtree(folder / "runs")
    result = invoke("eval", "mine.py", "mine.pth", "--head", "all", "--json")  # as mmdet's users do
    assert list(json.loads(result.stdout)["heads"]) == list(NAMES.values())
    assert {path.name for path in folder.iterdir()} == {"mine.pth", "mine.py", "mine.rgacli"}
    assert (folder / "mine.rgacli/detections/test/ensemble.json").is_file()


def test_the_latest_run_is_taken_where_none_is_named(folder, run):
    newer = shutil.copytree(run, folder / "runs/newer")
    (newer / "config.py").touch()
    assert json.loads(invoke("eval", "--json").stdout)["run"] == "newer"
    assert json.loads(invoke("eval", run, "--json").stdout)["run"] == RUN


def test_detections_are_made_once_and_anew_when_damaged(folder, run):
    assert "using the detections" not in invoke(*BINS).stderr
    assert "using the detections in runs/base/detections/test" in invoke(*BINS).stderr
    (run / "detections/test/1to9.json").write_text("[")
    again = invoke(*BINS)
    assert (again.exit_code, "using the detections" in again.stderr) == (0, False)


def test_detections_are_made_anew_for_another_of_the_runs_checkpoints(folder, run):
    (run / "checkpoints/best.pth").unlink()
    shutil.copy(run / "checkpoints/epoch_1.pth", run / "checkpoints/best.pth")
    shown = json.loads(invoke("eval", "--which", "best", "--json").stdout)
    assert shown["checkpoint"] == f"runs/{RUN}/checkpoints/best.pth"
    again = invoke("analyze", "gt-bins", "--which", "best", "--bootstrap", 0)
    assert "using the detections in" in again.stderr
    last = invoke("analyze", "gt-bins", "--bootstrap", 0)
    assert last.exit_code == 0
    assert "using the detections in" not in last.stderr


def test_detections_are_made_anew_where_the_config_is_another(folder, run):
    shutil.copy(run / "checkpoints/epoch_3.pth", "mine.pth")
    text = (run / "config.py").read_text()
    (folder / "low.py").write_text(text)
    (folder / "high.py").write_text(text + "\nmodel['test_cfg']['rcnn']['score_thr'] = 1.0")

    def found(config):
        result = invoke(*BINS, "--checkpoint", "mine.pth", "--config", config)
        content = json.loads((folder / "mine.rgacli/detections/test/ensemble.json").read_text())
        return len(content), "using the detections" in result.stderr

    (many, _), again, other = found("low.py"), found("low.py"), found("high.py")
    assert many > 0
    assert (again, other) == ((many, True), (0, False))


def test_an_evaluation_cut_short_leaves_nothing_that_passes_for_its_detections(folder, run, monkeypatch):
    from rgacli.evaluation.variants_metric import VariantsMetric

    invoke("eval")
    with monkeypatch.context() as patch:
        patch.setattr(VariantsMetric, "compute_metrics", None)
        assert invoke("eval").exit_code == 1
    assert "using the detections" not in invoke(*BINS).stderr


@pytest.fixture
def test_dev(folder, dataset):
    """A dataset in COCO's layout, of images without annotations alone."""
    root = folder / "coco"
    (root / "annotations").mkdir(parents=True)
    content = json.loads((dataset / "annotations/test.json").read_text())
    del content["annotations"]
    (root / "annotations/image_info_test-dev2017.json").write_text(json.dumps(content))
    shutil.copytree(dataset / "images/test", root / "test2017")
    return root


def test_images_without_annotations_get_a_file_for_cocos_server(folder, run, test_dev, near_misses):
    result = invoke("eval", "--split", "test-dev", "--data", "coco", "--submit", "mine/results.json")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    found = json.loads((folder / "mine/results.json").read_text())
    images = json.loads((test_dev / "annotations/image_info_test-dev2017.json").read_text())["images"]
    assert {detection["image_id"] for detection in found} == {image["id"] for image in images}
    assert all(set(detection) == {"image_id", "category_id", "bbox", "score"} for detection in found)
    assert f"mine/results.json: {len(found)} detections on 4 images, by ensemble of base" in result.stderr
    assert found == json.loads((run / "detections/coco-test-dev/ensemble.json").read_text())


def test_the_test_dev_of_the_dataset_trained_on_is_taken_where_none_is_named(folder, run, test_dev, dataset):
    shutil.copytree(dataset, "own")
    shutil.copytree("coco", "own", dirs_exist_ok=True)
    (run / "config.py").write_text((run / "config.py").read_text().replace(str(dataset), str(folder / "own")))
    result = invoke("eval", "--split", "test-dev", "--submit", "results.json", "--head", "1:9", "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["annotations"] == str(folder / "own/annotations/image_info_test-dev2017.json")
    assert (shown["head"], shown["images"], shown["split"]) == ("1:9", 4, "test-dev")
    assert shown["detections"] == len(json.loads((folder / "results.json").read_text()))
    assert (run / "detections/test-dev/1to9.json").is_file()


def test_a_split_with_annotations_may_be_submitted_and_is_not_evaluated(folder, run, monkeypatch):
    from rgacli.evaluation import coco_metrics

    monkeypatch.setattr(coco_metrics, "evaluate", None)
    result = invoke("eval", "--split", "val", "--submit", "results.json", "--head", "0")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert (folder / "results.json").read_text() == (run / "detections/val/1to1.json").read_text()


def test_what_was_detected_before_is_submitted_and_the_other_way_round(folder, run):
    invoke("eval")
    assert "using the detections" in invoke("eval", "--submit", "results.json").stderr
    shutil.rmtree(run / "detections")
    invoke("eval", "--submit", "results.json")
    assert "using the detections" in invoke(*BINS).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "test-dev"], "--split test-dev has no annotations here to evaluate on: write detections by"),
        (["--submit", "x.json", "--head", "all"], "--submit writes one head's detections: name it by --head"),
        (["--split", "test-dev", "--submit", "x.json"], "looked for annotations/image_info_test-dev<year>.json"),
        (["--split", "test-dev", "--submit", "x.json", "--data", "coco"], "its classes (unheard of,"),
    ],
)
def test_what_cannot_be_submitted_costs_one_line(folder, run, test_dev, arguments, words):
    path = test_dev / "annotations/image_info_test-dev2017.json"
    path.write_text(path.read_text().replace('"name": "', '"name": "unheard of", "was": "', 1))
    before = snapshot(folder)
    result = invoke("eval", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert snapshot(folder) == before


def test_a_bad_checkpoint_leaves_earlier_detections_alone(folder, run):
    invoke("eval")
    (run / "checkpoints/epoch_9.pth").write_text("no checkpoint")
    before = snapshot(folder)
    result = invoke("eval")
    assert result.exit_code == 2
    assert "epoch_9.pth is damaged" in error_line(result.stderr)
    assert snapshot(folder) == before


def test_closer_looks_are_in_json_drawn_and_told_of(folder, run, near_misses):
    looks = ("--per-class", "--plots", "--show-dir", "shown", "--show-count", 2, "--score", 0)
    result = invoke("eval", "--head", "1:9", *looks, "--json")
    assert result.exit_code == 0, result.stderr
    assert "2 pictures in shown" in result.stderr
    assert len(list((folder / "shown").iterdir())) == 2
    shown = json.loads(result.stdout)
    figures = [run / "figures/test" / name for name in ("pr_curves.png", "confusion.png")]
    assert ([folder / path for path in shown["figures"]], shown["shown"]) == (figures, "shown")
    assert set(figures[0].parent.iterdir()) == {
        path.with_suffix(kind) for path in figures for kind in (".png", ".svg", ".csv")
    }
    assert [list(row["heads"]) for row in shown["classes"]] == [["1:9"]] * 10
    values = [row["heads"]["1:9"]["AP"] for row in shown["classes"] if row["objects"]]
    assert sum(values) / len(values) == pytest.approx(shown["heads"]["1:9"]["AP"])


def test_classes_have_a_line_for_each_head_and_for_masks(capsys):
    from rgacli.cli.eval import _print_classes
    from rgacli.evaluation.classwise import ClassMetrics

    boxes = {"AP": 0.25, "AP50": 0.5}
    heads = {"1:9": boxes, "ensemble": {**boxes, "mask_AP": 0.125, "mask_AP50": math.nan}}
    _print_classes("", [ClassMetrics("cat", 1, 2, heads), ClassMetrics("dog", 0, 0, heads)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert rows[:3] == [
        ["cat", "1", "2", "1:9", "0.250", "0.500"],
        ["", "1", "2", "ensemble", "0.250", "0.500"],
        ["", "1", "2", "ensemble, masks", "0.125", "-"],
    ]
    _print_classes("", [ClassMetrics("cat", 1, 2, {"1:9": boxes})])
    assert "head" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--submit", "x.json", "--per-class"], "--submit evaluates nothing: leave out --per-class"),
        (["--show-count", 3], "--show-count 3 goes with --show-dir"),
        (["--score", 0.5], "--score 0.5 goes with --plots or --show-dir"),
        (["--tile-overlap", 0.5], "--tile-overlap 0.5 goes with --tiles"),
    ],
)
def test_looks_that_nothing_would_come_of_cost_one_line(folder, run, arguments, words):
    before = snapshot(folder)
    result = invoke("eval", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert snapshot(folder) == before


def test_pictures_do_not_overwrite_the_images(folder, run, dataset):
    before = snapshot(folder, dataset)
    result = invoke("eval", "--show-dir", dataset / "images/test")
    assert (result.exit_code, snapshot(folder, dataset)) == (2, before)
    assert "choose another folder by --show-dir" in error_line(result.stderr)


def test_detections_by_augmentation_are_kept_apart(folder, finding):
    result = invoke("eval", "--tta", "--head", "all")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("base on test, tta: ")
    assert [path.name for path in (finding / "detections").iterdir()] == ["test-tta"]
    again = invoke("eval", "--tta", "--submit", "results.json")
    assert "using the detections in runs/base/detections/test-tta" in again.stderr
    assert len(json.loads((folder / "results.json").read_text())) > 4
    config = finding / "config.py"
    merging = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=1)
    config.write_text(f"{config.read_text()}\ntta_model = dict(type='DetTTAModel', tta_cfg={merging})\n")
    assert "using" not in invoke("eval", "--tta", "--submit", "results.json").stderr
    assert len(json.loads((folder / "results.json").read_text())) == 4


def test_safe_runs_nothing_of_a_config_and_without_it_one_line_tells_that_it_runs(folder, run, dataset):
    made = folder / "made_by_the_config"
    plain = (run / "config.py").read_text()
    (run / "config.py").write_text(f"open({made.name!r}, 'w')\n{plain}")
    before = snapshot(folder)
    for command in (("eval",), ("predict", dataset / "images/test")):
        refused = invoke(*command, "--safe")
        assert refused.exit_code == 2
        assert "config.py is refused by --safe: line 1: `open('made_by_the_config'" in error_line(refused.stderr)
    assert snapshot(folder) == before

    told = invoke("eval", "--json")
    assert told.exit_code == 0, told.stderr
    assert made.exists()
    assert told.stderr.count("is Python, and it is run (line 1: `open('made_by_the_config'") == 1
    assert json.loads(told.stdout)

    (run / "config.py").write_text(plain)
    safe = invoke("eval", "--safe", "--json")
    assert safe.exit_code == 0, safe.stderr
    assert "is Python" not in safe.stderr
    assert json.loads(safe.stdout)["heads"] == json.loads(told.stdout)["heads"]
