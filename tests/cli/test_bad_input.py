"""What users get wrong: each mistake costs one line that says what, where and what to do, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import RUN, TINY, error_line, invoke, settings, snapshot

EVIL = "code_that_was_run"
CONFIGS = {
    "syntax.py": "model = dict(",
    "no_model.py": "x = 1",
    "no_base.py": '_base_ = "gone.py"',
    "raises.py": "model = dict(type='FasterRCNN')\nwidth = 1 / 0",
    "notes.txt": "model = dict()",
    "no_loader.py": "model = dict(type='FasterRCNN')",
}


class Evil:
    """Pickles into a call."""

    def __reduce__(self):
        return os.mkdir, (EVIL,)


def spoil(root: Path, copy_of: Path, split: str, **sections) -> None:
    """A copy of a dataset with other content in one of its annotation files."""
    shutil.copytree(copy_of, root)
    path = root / "annotations" / f"{split}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **sections}))


def write_datasets(dataset: Path) -> None:
    for name, text in {"cut": '{"images": [', "list": "[]", "other_json": "{}"}.items():
        (Path("data") / name / "annotations").mkdir(parents=True)
        (Path("data") / name / "images").mkdir()
        (Path("data") / name / "annotations/train.json").write_text(text)
    categories = json.loads((dataset / "annotations/train.json").read_text())["categories"]
    spoil(Path("data/no_categories"), dataset, "train", categories=[])
    spoil(Path("data/other_categories"), dataset, "val", categories=categories[:-1])
    spoil(Path("data/no_size"), dataset, "train", images=[{"id": 1, "file_name": "000001.jpg"}])
    for split in ("train", "val", "test"):
        spoil(Path(f"data/no_{split}_objects"), dataset, split, annotations=[])
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "area": 6}
    spoil(Path("data/bad_box"), dataset, "train", annotations=[box])
    shutil.copytree(dataset, "data/no_image")
    Path("data/no_image/images/val/000003.jpg").unlink()
    shutil.copytree(dataset, "data/renamed")
    for split in ("train", "val", "test"):
        path = Path(f"data/renamed/annotations/{split}.json")
        path.write_text(path.read_text().replace(categories[0]["name"], "unheard of"))


def write_checkpoints(good: Path) -> None:
    import torch

    from rgacli.modeling.checkpoints import read_checkpoint

    Path("text.pth").write_text("no checkpoint")
    Path("text.onnx").touch()
    Path("empty.pth").touch()
    Path("cut.pth").write_bytes(good.read_bytes()[:100_000])
    Path("raw_pickle.pth").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    torch.save({"state_dict": Evil()}, "evil.pth")
    torch.save([1, 2], "list.pth")
    content = read_checkpoint(good)
    content["state_dict"]["neck.fpn_convs.0.conv.bias"] = torch.zeros(3)
    torch.save(content, "shape.pth")
    del content["state_dict"]["neck.fpn_convs.0.conv.bias"]
    torch.save(content, "lacking.pth")


def write_runs(run: Path, dataset: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(run, Path("runs") / name))

    shutil.rmtree(copy("no_checkpoint") / "checkpoints")
    (copy("broken_config") / "config.py").write_text("model = dict(")
    damaged = copy("damaged") / "checkpoints"
    for checkpoint in (*damaged.glob("epoch_*.pth"), damaged / "epoch_9.pth"):
        checkpoint.write_text("no checkpoint")
    shutil.copy("evil.pth", copy("evil") / "checkpoints/epoch_9.pth")
    for name, data in {"moved": "gone", "edited": "data/other_categories"}.items():
        config = copy(name) / "config.py"
        config.write_text(config.read_text().replace(str(dataset), data))


def write_results() -> None:
    one = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
    for name, content in {
        "good": [one],
        "unknown_image": [one, {**one, "image_id": 999}],
        "unknown_category": [one, {**one, "category_id": 99}],
        "object": {"detections": [one]},
        "no_score": [{key: one[key] for key in ("image_id", "category_id", "bbox")}],
        "nan_score": [{**one, "score": float("nan")}],
    }.items():
        Path(f"{name}.json").write_text(json.dumps(content))
    Path("cut.json").write_text(json.dumps([one])[:-5])


@pytest.fixture(scope="module")
def mess(tmp_path_factory, trained, dataset) -> Path:
    """A folder with one of everything that cannot be used, beside the good ones; the cases below refer to it."""
    root = tmp_path_factory.mktemp("mess")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shutil.copytree(dataset, "data/good")
        shutil.copytree(trained.run, f"runs/{RUN}")
        write_datasets(dataset)
        write_checkpoints(trained.run / "checkpoints/epoch_3.pth")
        write_runs(trained.run, dataset)
        write_results()
        for name, text in CONFIGS.items():
            Path(name).write_text(text)
    return root


def train(*arguments):
    return ("train", "quickstart", "--data", "data/good", *arguments, *TINY)


def train_on(name):
    return ("train", "quickstart", "--data", f"data/{name}")


def weights(name):
    return ("eval", "--config", f"runs/{RUN}/config.py", "--checkpoint", name)


def bins(text):
    return ("analyze", "gt-bins", RUN, "--bins", text)


def results(*names, annotations="data/good/annotations/test.json"):
    files = [word for name in names for word in ("--results", name)]
    return ("analyze", "gt-bins", *files, *(("--annotations", annotations) if annotations else ()))


def resume(*arguments, run=RUN):
    return ("train", "--resume", "--name", run, *arguments)


# What is called -> what its one line must say. Exit code 2 each.
CASES = {
    "dataset: no folder": (train_on("gone"), "data/gone: no such folder"),
    "dataset: another folder": (("train", "--data", "runs"), "no dataset is recognised"),
    "dataset: cut off": (train_on("cut"), "cut/annotations/train.json: not valid JSON"),
    "dataset: a list": (train_on("list"), "not COCO annotations: expected an object, found a list"),
    "dataset: other JSON": (train_on("other_json"), 'not COCO instance annotations: it has no "images"'),
    "dataset: no categories": (train_on("no_categories"), "lists no categories"),
    "dataset: categories differ": (train_on("other_categories"), "its categories are not those of train"),
    "dataset: no image size": (train_on("no_size"), 'images[0]: no "width"; `rgacli data check`'),
    "dataset: malformed box": (train_on("bad_box"), 'annotations[0]: "bbox" is [1, 2, 3], not four finite numbers'),
    "dataset: no objects to train on": (train_on("no_train_objects"), "no objects in the train split"),
    "dataset: no objects to validate on": (train_on("no_val_objects"), "no objects in the val split"),
    "dataset: no objects to test on": (train_on("no_test_objects"), "no objects in the test split"),
    "dataset: image missing": (train_on("no_image"), "1 of the 4 images of the val split are not in"),
    "dataset: option without --data": (("train", "quickstart", "--val-ann", "x.json"), "give its folder by --data"),
    "dataset: no such option's file": ((*train_on("good"), "--val-ann", "x.json"), "x.json: no such file"),
    "dataset: not where the config has it": (
        ("train", "faster-rcnn_r50_fpn_rga-prm_1x_coco"),
        "instances_train2017.json: no such annotation file; name the dataset's folder by --data",
    ),
    "eval: another folder": (("eval", RUN, "--data", "runs"), "`rgacli data check` take others by --train-ann"),
    "eval: dataset gone": (("eval", "moved"), "test.json: no such annotation file; name the dataset"),
    "eval: a category gone": (
        ("eval", "edited", "--split", "val"),
        "val.json: it has 9 of the config's classes, and the detector tells 10 apart: name the dataset",
    ),
    "eval: no folder": (("eval", RUN, "--data", "gone"), "gone: no such folder"),
    "eval: no objects": (("eval", RUN, "--data", "data/no_test_objects"), "no objects in the test split"),
    "eval: other classes": (("eval", RUN, "--data", "data/renamed"), "its classes (unheard of,"),
    "proposals: no objects": (
        ("analyze", "proposals", RUN, "--data", "data/no_test_objects"),
        "no objects in the test split",
    ),
    "config: unknown": (("train", "gone"), "neither a file nor a bundled config nor one of mmdet's"),
    "config: no such file": (("train", "gone.py"), "'gone.py' is neither a file nor"),
    "config: syntax": (("train", "syntax.py"), "syntax.py cannot be read: SyntaxError: '(' was never closed"),
    "config: raises": (("train", "raises.py"), "raises.py cannot be read: ZeroDivisionError"),
    "config: not Python": (("train", "notes.txt"), "notes.txt is not a .py, .json or .yaml file"),
    "config: base missing": (("train", "no_base.py"), "no_base.py: no such file: "),
    "config: no dataloader": (
        ("train", "no_loader.py", "--data", "data/good", "--no-rga", "--no-prm"),
        "the config has no train_dataloader: let it inherit one (`_base_`)",
    ),
    "config: no detector": (("train", "no_model.py"), "no_model.py has no `model`: it is no mmdet detector config"),
    "config: one stage": (
        ("train", "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"),
        "RetinaNet has no RoI head with bbox heads, which RGA and PRM act on; train it as it is by --no-rga --no-prm",
    ),
    "config: no parallel heads": (
        ("train", "mmdet::dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py", "--ratios", "1:1,1:9"),
        "this config's RoI head is DynamicRoIHead; leave out --ratios to train",
    ),
    "head loss: no parallel heads": (
        ("train", "mmdet::dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py", "--head-loss", "mean"),
        "this config's RoI head is DynamicRoIHead; leave out --head-loss to train",
    ),
    "draws: nested and hard": (
        train("--draws", "nested", "--sampling", "hard"),
        "--draws nested is defined for soft sampling only, not with --sampling hard",
    ),
    "config: contradiction": (("train", "--no-rga", "--lambda0", 7), "--no-rga contradicts --lambda0"),
    "config: mmdet has none such": (("train", "mmdet::gone.py"), "mmdet::gone.py: there is no such file in"),
    "config: no such package": (("train", "gone::x.py"), "there is no installed package 'gone'"),
    "config: no dataset": (
        ("eval", "--config", "no_loader.py", "--checkpoint", "shape.pth"),
        "the config has no test_dataloader",
    ),
    "checkpoint: missing": (weights("gone.pth"), "checkpoint gone.pth does not exist"),
    "checkpoint: text": (weights("text.pth"), "text.pth is damaged or is no torch checkpoint"),
    "checkpoint: empty": (weights("empty.pth"), "empty.pth is damaged or is no torch checkpoint"),
    "checkpoint: cut off": (weights("cut.pth"), "cut.pth is damaged or is no torch checkpoint"),
    "checkpoint: evil": (weights("evil.pth"), "evil.pth is refused: it holds Python objects that would run code"),
    "checkpoint: evil pickle": (weights("raw_pickle.pth"), "raw_pickle.pth"),
    "checkpoint: list": (weights("list.pth"), "list.pth holds a list, not a state dict"),
    "checkpoint: shape": (weights("shape.pth"), "it has in other shapes neck.fpn_convs.0.conv.bias (3,) for (16,)"),
    "checkpoint: lacking": (weights("lacking.pth"), "does not fit the config: it lacks neck.fpn_convs.0.conv.bias"),
    "checkpoint: without config": (("eval", "--checkpoint", "shape.pth"), "checkpoint shape.pth lies in no run"),
    "checkpoint: ONNX": (
        ("eval", "--checkpoint", "text.onnx"),
        "only `rgacli predict` and rgacli.load run an ONNX file",
    ),
    "checkpoint: config alone": (
        ("eval", "--config", "no_model.py"),
        "--config says what a --checkpoint was",
    ),
    "checkpoint: and a run": ((*weights("shape.pth"), RUN), "give a RUN or --checkpoint, not both"),
    "checkpoint: to start from missing": (train(*settings({"load_from": "gone.pth"})), "gone.pth does not exist"),
    "checkpoint: to start from evil": (train(*settings({"load_from": "evil.pth"})), "evil.pth is refused"),
    "run: unknown": (("eval", "gone"), "no run 'gone': neither gone/config.py nor runs/gone/config.py exists"),
    "run: one of several unknown": (("analyze", "gt-bins", RUN, "gone"), "no run 'gone'"),
    "run: without checkpoint": (("eval", "no_checkpoint"), "no_checkpoint has no checkpoint"),
    "run: resumed without checkpoint": (resume(run="no_checkpoint"), "no_checkpoint has no checkpoint"),
    "run: config broken": (("eval", "broken_config"), "broken_config/config.py cannot be read: SyntaxError"),
    "run: checkpoint damaged": (("ensemble", "damaged"), "epoch_9.pth is damaged"),
    "run: resumed from a damaged checkpoint": (resume(run="damaged"), "epoch_9.pth is damaged"),
    "run: resumed from an evil checkpoint": (resume(run="evil"), "epoch_9.pth is refused"),
    "run: resumed but unknown": (resume(run="gone"), "no run 'gone'"),
    "run: name taken": (train("--name", RUN), f"run runs/{RUN} exists: choose another --name"),
    "run: name with a slash": (train("--name", "a/b"), "'a/b' is not a plain name"),
    "run: name of dots": (train("--name", ".."), "'..' is not a plain name"),
    "run: resumed in a folder without one": (("train", "--resume", "--work-dir", "no"), "--work-dir no: no run lies"),
    "run: a name and a folder": (("train", "--name", "a", "--work-dir", "b"), "give --name or --work-dir, not both"),
    "run: in a folder that has one": (("train", "--work-dir", f"runs/{RUN}"), "choose another --work-dir"),
    "resume: with a config": (resume("quickstart"), "leave out CONFIG"),
    "resume: with lambda0": (resume("--lambda0", "0"), "leave out --lambda0"),
    "resume: with a seed": (resume("--seed", "0"), "leave out --seed"),
    "resume: with more": (resume("--set", "a=1", "--val-ann", "x"), "leave out --val-ann, --set"),
    "ratio: no negatives": (train("--ratios", "1:0"), "'1:0' leaves a head without negatives"),
    "ratio: no positives": (train("--ratios", "1:1,0:1"), "'0:1' leaves a head without positives"),
    "ratio: too few positives": (train("--ratios", "1:1,1:99"), "it draws 64 RoIs an image"),
    "ratio: junk": (train("--ratios", "junk"), "'junk' is not of the form POSITIVES:NEGATIVES, such as 1:9"),
    "ratio: empty": (train("--ratios", ""), "is not of the form POSITIVES:NEGATIVES"),
    "ratio: trailing comma": (train("--ratios", "1:1,"), "is not of the form POSITIVES:NEGATIVES"),
    "lambda0: below one": (train("--lambda0", "0.5"), "--lambda0 0.5: it must be a finite number, at least 1"),
    "lambda0: no number": (train("--lambda0", "nan"), "--lambda0 nan: it must be a finite number"),
    "lambda0: infinite": (train("--lambda0", "inf"), "--lambda0 inf: it must be a finite number"),
    "lr: zero": (train("--lr", "0"), "--lr 0: it must be a finite number above 0"),
    "lr: no number": (train("--lr", "nan"), "--lr nan: it must be a finite number above 0"),
    "epochs: none": (train("--epochs", "0"), "--epochs 0: it must be at least 1"),
    "batch size: none": (train("--batch-size", "0"), "--batch-size 0: it must be at least 1"),
    "set: no assignment": (train("--set", "junk"), "--set junk is not of the form KEY=VALUE"),
    "set: unknown key": (train("--set", "nonsense=1"), "--set nonsense: the config has no such key"),
    "set: another number of classes": (
        train("--set", "model.roi_head.bbox_head.num_classes=9"),
        "train.json: it has 10 of the config's classes, and the detector tells 9 apart",
    ),
    "set: unknown parent": (train("--set", "mdel.type=1"), "the config has no 'mdel' to set 'type' in"),
    "set: unknown argument": (train("--set", "model.backbone.dpth=1"), "unexpected keyword argument 'dpth'"),
    "set: unknown part": (train("--set", "model.type=Nonsense"), "KeyError: Nonsense is not in the mmdet::model"),
    "bins: overlapping": (bins("1-3,3-5"), "bins '1-3' and '3-5' overlap"),
    "bins: reversed": (bins("5-2"), "bin '5-2' is reversed"),
    "bins: junk": (bins("junk"), "'junk' is no bin of object counts; write bins like '1-3,4-7,8+'"),
    "bins: empty": (bins(""), "'' is no bin of object counts"),
    "bins: from zero": (bins("0-3"), "bin '0-3' starts below 1"),
    "bins: no image in any": (("analyze", "proposals", RUN, "--bins", "99+"), "no image falls into any bin"),
    "results: missing": (results("x=gone.json"), "gone.json: no such results file"),
    "results: cut off": (results("x=cut.json"), "cut.json: not JSON"),
    "results: an object": (results("x=object.json"), "holds a dict, not a list of detections"),
    "results: unknown image": (results("x=unknown_image.json"), "1 of 2 detections refer to images that the"),
    "results: unknown category": (results("x=unknown_category.json"), "refer to categories that the annotations lack"),
    "results: no score": (results("x=no_score.json"), "lack one of image_id, category_id, bbox, score"),
    "results: score no number": (results("x=nan_score.json"), "a score that is not a finite number"),
    "results: no name": (results("good.json"), "--results good.json is not of the form NAME=FILE"),
    "results: name twice": (results("x=good.json", "x=good.json"), "the name x stands twice"),
    "results: no annotations": (results("x=good.json", annotations=None), "--results needs --annotations FILE"),
    "results: annotations missing": (results("x=good.json", annotations="gone.json"), "gone.json: no such annotation"),
    "results: annotations of another kind": (results("x=good.json", annotations="good.json"), "not COCO annotations"),
    "results: annotations with a malformed box": (
        results("x=good.json", annotations="data/bad_box/annotations/train.json"),
        'annotations[0]: "bbox" is [1, 2, 3], not four finite numbers; `rgacli data check` lists every problem',
    ),
    "results: with a run": ((*results("x=good.json"), RUN), "--results stand alone"),
    "results: with a split": ((*results("x=good.json"), "--split", "val"), "--results stand alone"),
    "results: with a device": ((*results("x=good.json"), "--device", "cpu"), "--results stand alone"),
    "check: files of a split left out": (
        ("data", "check", "data/good", "--split", "val", "--train-images", "x"),
        "files of train are named, which --split leaves out: add --split train",
    ),
    "results: annotations alone": (("analyze", "gt-bins", "--annotations", "good.json"), "goes with --results"),
    "head: unknown": (("eval", RUN, "--head", "1:7"), "--head 1:7: this detector has 1:1, 1:9"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_costs_one_line_and_leaves_everything_as_it_was(mess, monkeypatch, case):
    arguments, words = CASES[case]
    monkeypatch.chdir(mess)
    before = snapshot(mess)
    result = invoke(*arguments)
    assert words in error_line(result.stderr)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert snapshot(mess) == before
    assert not (mess / EVIL).exists()


@pytest.mark.parametrize(
    "arguments", [("eval",), ("ensemble",), ("analyze", "gt-bins"), ("analyze", "proposals"), ("train", "--resume")]
)
def test_where_there_is_no_run_each_command_says_how_to_make_one(folder, arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "train one first (`rgacli train`), or name its directory" in error_line(result.stderr)
    assert list(folder.iterdir()) == []


def test_a_working_folder_that_is_gone_is_no_place_to_work(folder):
    """torch's MKL would end the process in its own words."""
    (folder / "home").mkdir()
    os.chdir(folder / "home")
    (folder / "home").rmdir()
    result = invoke("train", "quickstart", "--epochs", 1)
    assert result.exit_code == 2
    assert error_line(result.stderr) == "error: the working folder is gone: change to one that is there."


@pytest.mark.parametrize("option", ["--sync-bn", "--device=cuda", "--device=mps"])
def test_what_needs_a_gpu_says_so_where_there_is_none(mess, monkeypatch, option):
    import torch

    monkeypatch.chdir(mess)
    for device in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(device, "is_available", lambda: False)
    result = invoke(*train(option))
    assert result.exit_code == 2
    assert f"{option.partition('=')[0]}" in error_line(result.stderr)
    assert ("MPS device" if "mps" in option else "CUDA device") in error_line(result.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        train("--lambda0", "x"),
        train("--seed", "-1"),
        train("--anneal", "cosine"),
        ("eval", RUN, "--split", "dev"),
        ("analyze", "gt-bins", RUN, "--bootstrap", "-1"),
        ("analyze", "gt-bins", RUN, "--out", "good.json"),
    ],
    ids=lambda arguments: " ".join(arguments[-2:]) if arguments[0] != "train" else arguments[4],
)
def test_values_of_the_wrong_kind_are_typers_usage_errors(mess, monkeypatch, arguments):
    monkeypatch.chdir(mess)
    before = snapshot(mess)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: rgacli" in result.stderr
    assert snapshot(mess) == before


def test_a_file_in_the_way_of_the_runs_is_named(folder, dataset):
    (folder / "runs").touch()
    result = invoke("train", "quickstart", "--data", dataset, *TINY)
    assert result.exit_code == 2
    assert "runs" in error_line(result.stderr)
    assert "is in the way" in error_line(result.stderr)


def test_debug_shows_where_an_error_arose(folder):
    result = invoke("--debug", "eval", "gone")
    assert "no run 'gone'" in str(result.exception)
    assert result.exception.__traceback__
