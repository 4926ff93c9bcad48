import json
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook

from rgacli.engine import checkpoint_hook
from rgacli.engine.checkpoint_hook import AtomicBackend, RunCheckpointHook
from rgacli.engine.hooks import RunGoneHook
from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.variants_metric import VariantsCocoMetric
from rgacli.runs import Run
from tests.support import tiny
from tests.support.running import At, assert_same, resumed, run

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")

KEEP_ONE = {"default_hooks.checkpoint.max_keep_ckpts": 1}
EACH_EPOCH = {"train_cfg": dict(max_epochs=3, val_interval=1)}
BEST = {"default_hooks.checkpoint.save_best": "coco/ensemble/AP", **EACH_EPOCH}


def measure(monkeypatch, *scores):
    """Has validations find these values of the ensemble's AP, one after the other."""
    found = iter(scores)

    def values(*_):
        score = next(found)
        return {"1to1/AP": score / 2, "ensemble/AP": score}

    monkeypatch.setattr(VariantsCocoMetric, "compute_metrics", values)


def content(folder, name="best.pth"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def names(folder):
    return {path.name for path in (folder / "checkpoints").glob("*.pth")}


@pytest.fixture
def writes(monkeypatch):
    """File written -> the files that lay beside it at that moment, in order."""
    found, put = {}, AtomicBackend.put

    def watched(self, obj, filepath):
        found[Path(filepath).name] = {path.name for path in Path(filepath).parent.glob("*.pth")}
        put(self, obj, filepath)

    monkeypatch.setattr(AtomicBackend, "put", watched)
    return found


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    backend, path = get_file_backend(backend_args=dict(backend="atomic")), tmp_path / "a.pth"
    backend.put(b"old", path)

    def half(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        backend.put(b"a new checkpoint", path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_wrote_in_part_is_removed(tiny_dataset, tmp_path):
    left = tmp_path / "checkpoints/.epoch_2.abc.pth"
    left.parent.mkdir()
    left.touch()
    run(tiny.training_config(tiny_dataset, tmp_path, train_cfg=dict(max_epochs=1)), tmp_path)
    assert [path.name for path in left.parent.iterdir()] == ["epoch_1.pth"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_note_of_the_last_checkpoint_that_is_no_file_is_in_the_way(tiny_dataset, tmp_path, make):
    """mmengine would write to the FIFO, and wait for ever that somebody reads it."""
    (tmp_path / "logs").mkdir()
    make(tmp_path / "logs/last_checkpoint")
    with pytest.raises(FileExistsError, match="last_checkpoint"):
        run(tiny.training_config(tiny_dataset, tmp_path), tmp_path)
    assert not list(tmp_path.rglob("*.pth"))


def test_the_only_checkpoint_stays_until_the_next_is_written(tiny_dataset, tmp_path, writes):
    run(tiny.training_config(tiny_dataset, tmp_path, **KEEP_ONE), tmp_path)
    assert writes == {"epoch_1.pth": set(), "epoch_2.pth": {"epoch_1.pth"}, "epoch_3.pth": {"epoch_2.pth"}}
    assert names(tmp_path) == {"epoch_3.pth"}


def test_so_do_the_best_of_several_metrics_which_are_mmengines(tiny_dataset, tmp_path, writes, monkeypatch):
    measure(monkeypatch, 0.1, 0.2, 0.3)
    metrics = ["coco/ensemble/AP", "coco/1to1/AP"]
    best = {"default_hooks.checkpoint": dict(save_best=metrics, max_keep_ckpts=1), **EACH_EPOCH}
    run(tiny.training_config(tiny_dataset, tmp_path, **best), tmp_path)
    assert "best_coco_ensemble_AP_epoch_1.pth" in writes["best_coco_ensemble_AP_epoch_2.pth"]
    assert "best_coco_ensemble_AP_epoch_2.pth" in writes["best_coco_ensemble_AP_epoch_3.pth"]
    assert names(tmp_path) == {"epoch_3.pth", *(f"best_coco_{head}_AP_epoch_3.pth" for head in ("ensemble", "1to1"))}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tiny_dataset, tmp_path, monkeypatch):
    def full(self, obj, filepath):
        if "epoch_2" in str(filepath):
            raise OSError("No space left on device")
        put(self, obj, filepath)

    put = AtomicBackend.put
    monkeypatch.setattr(AtomicBackend, "put", full)
    with pytest.raises(OSError, match="No space left"):
        run(tiny.training_config(tiny_dataset, tmp_path, **KEEP_ONE), tmp_path)
    assert names(tmp_path) == {"epoch_1.pth"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(tiny_dataset, tmp_path, value):
    """What the last step of an epoch broke shows in no loss before the epoch's checkpoint."""

    def spoil(runner):
        runner.model.roi_head.bbox_head[1].fc_cls.bias.data[0] = value

    with pytest.raises(RunFailed, match=r"not finite after iteration 8 \(roi_head.bbox_head.1.fc_cls.bias\)"):
        run(tiny.training_config(tiny_dataset, tmp_path, **KEEP_ONE), tmp_path, At(8, spoil))
    assert names(tmp_path) == {"epoch_1.pth"}


@pytest.mark.parametrize("resume", [False, True])
def test_gradients_are_those_of_the_training_that_goes_on_and_of_no_other(tmp_path, resume):
    """fp16's are 65536 times as high, too."""
    model = torch.nn.Linear(1, 1)
    runner = SimpleNamespace(model=model, _resume=resume)
    RunCheckpointHook(str(tmp_path)).after_load_checkpoint(runner, {"gradients": {"bias": torch.ones(1)}})
    assert (model.bias.grad is not None) is resume


def test_no_rank_goes_on_before_all_is_written(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(checkpoint_hook, "barrier", lambda: order.append("all ranks"))
    monkeypatch.setattr(CheckpointHook, "_save_checkpoint_with_step", lambda self, *args: order.append(args[1]))
    hook = RunCheckpointHook(str(tmp_path), published_keys=["meta"])
    hook.last_ckpt, hook.file_backend = "epoch_3.pth", SimpleNamespace(settle=lambda: order.append("others removed"))
    monkeypatch.setattr(hook, "_publish_model", lambda runner, path: order.append(path))
    runner = SimpleNamespace(
        train_loop=SimpleNamespace(stop_training=False),
        optim_wrapper=SimpleNamespace(should_update=lambda: True),
        call_hook=lambda name: None,
    )
    hook._save_checkpoint_with_step(runner, 3, {})
    hook.after_train(runner)
    assert order == [3, "others removed", "all ranks", "epoch_3.pth", "all ranks"]


# --- the best checkpoint


@pytest.fixture(scope="module")
def best_run(tiny_dataset, tmp_path_factory):
    """Folder of a run that was best after its second epoch. Not to be written to."""
    folder = tmp_path_factory.mktemp("best")
    cfg = tiny.training_config(tiny_dataset, folder, **BEST)
    (folder / "config.py").write_text(cfg.pretty_text)
    with pytest.MonkeyPatch.context() as patch:
        measure(patch, 0.2, 0.5, 0.3)
        run(cfg, folder)
    return folder


def test_the_weights_of_the_best_validation_are_kept_with_what_they_are(best_run):
    best = content(best_run)
    assert best.keys() == {"meta", "state_dict"}
    assert_same(best["state_dict"], content(best_run, "epoch_2.pth")["state_dict"])
    assert (best["meta"]["epoch"], best["meta"]["iter"]) == (2, 8)
    metrics = {"coco/1to1/AP": 0.25, "coco/ensemble/AP": 0.5}
    assert best["meta"]["best"] == {"metric": "coco/ensemble/AP", "score": 0.5, "metrics": metrics}


def test_the_best_is_neither_the_last_nor_one_of_the_others(best_run):
    found = Run(best_run)
    assert [path.name for path in found.all_checkpoints()] == ["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]
    os.utime(found.best)
    assert found.last_checkpoint().name == "epoch_3.pth"
    assert found.best.is_file()


def test_keeping_the_best_changes_nothing_of_the_training(best_run, finished_run):
    assert_same(content(best_run, "epoch_3.pth")["state_dict"], content(finished_run, "epoch_3.pth")["state_dict"])
    assert_same(content(best_run, "epoch_3.pth")["optimizer"], content(finished_run, "epoch_3.pth")["optimizer"])


@pytest.mark.parametrize("dies", ["while it validates", "while it writes the best"])
def test_a_killed_run_keeps_the_best_that_it_would_have_kept(best_run, tmp_path, monkeypatch, dies):
    """It dies in the second epoch's validation, with that epoch's checkpoint already written."""
    folder = shutil.copytree(best_run, tmp_path / "run")
    for name in ("best.pth", "epoch_3.pth"):
        (folder / "checkpoints" / name).unlink()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    until = {"while it validates": 8, "while it writes the best": 9}[dies]  # lines of training, and a validation each
    kept = [line for line in lines if line["step"] <= 8][: until + 1]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    measure(monkeypatch, *{8: (0.5, 0.3), 9: (0.3,)}[until])
    assert resumed(folder, folder / "checkpoints/epoch_2.pth") == 4
    assert content(folder)["meta"]["best"] == content(best_run)["meta"]["best"]
    assert_same(content(folder)["state_dict"], content(best_run)["state_dict"])
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").open()]
    assert steps == [line["step"] for line in lines]


def test_a_resumed_run_does_not_lose_its_best_to_a_worse_one(best_run, tmp_path, monkeypatch):
    folder = shutil.copytree(best_run, tmp_path / "run")
    measure(monkeypatch, 0.4)
    assert resumed(folder, folder / "checkpoints/epoch_2.pth") == 4
    assert content(folder)["meta"]["best"]["score"] == 0.5


@pytest.mark.parametrize("scores", [(math.nan, 0.1, 0.1), (0.1, 0.1, math.nan)])
def test_the_first_of_equals_is_the_best_and_no_value_never_is(tmp_path, scores):
    hook, saved = RunCheckpointHook(str(tmp_path), save_best="coco/ensemble/AP"), []
    hook._best_score = None
    runner = SimpleNamespace(epoch=0, iter=0, save_checkpoint=lambda *_, meta, **__: saved.append(meta["epoch"]))
    for runner.epoch, score in enumerate(scores, start=1):
        hook.after_val_epoch(runner, {"coco/ensemble/AP": score})
    assert saved == [scores.index(0.1) + 1]


@pytest.mark.parametrize(
    ("metric", "rule"),
    [
        ("coco/ensemble/AP", "greater"),
        ("coco/1to9/AP_1-3", "greater"),
        ("coco/detector/mask_AP50", "greater"),
        ("crowdhuman/ensemble/mMR", "less"),
        ("crowdhuman/1to1/JI", "greater"),
    ],
)
def test_which_of_two_values_is_better_is_known_of_every_metric(metric, rule):
    assert RunCheckpointHook("nowhere", save_best=metric).rules == [rule]


def test_a_metric_that_validation_does_not_give_is_named_with_those_it_does():
    hook = RunCheckpointHook("nowhere", save_best="coco/1to9/mAP")
    with pytest.raises(UsageError, match="save_best: validation gives no coco/1to9/mAP, but coco/1to9/AP"):
        hook.after_val_epoch(None, {"coco/1to9/AP": 0.1})


def test_a_best_file_of_something_else_counts_for_nothing(tmp_path):
    hook = RunCheckpointHook(str(tmp_path), save_best="coco/ensemble/AP")
    for meta in ({}, {"best": {"metric": "coco/1to9/AP", "score": 0.9}}):
        torch.save({"state_dict": {}, "meta": meta}, tmp_path / "best.pth")
        assert hook._saved_best() is None


def test_a_run_that_is_gone_is_not_made_again_in_parts(tmp_path):
    backend = get_file_backend(backend_args=dict(backend="atomic"))
    with pytest.raises(RunFailed, match=r"checkpoints is gone: it was removed"):
        backend.put(b"weights", tmp_path / "run/checkpoints/epoch_1.pth")
    config = tmp_path / "config.py"
    config.touch()
    RunGoneHook(config).before_checkpoint(None)
    config.unlink()
    with pytest.raises(RunFailed, match=r"config.py is gone: it was removed"):
        RunGoneHook(config).before_checkpoint(None)
    assert list(tmp_path.iterdir()) == []
