from itertools import count
from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend

from rgacli.engine.checkpoint_hook import AtomicBackend
from rgacli.errors import RunFailed
from rgacli.evaluation.variants_metric import VariantsCocoMetric
from tests.support import tiny
from tests.support.running import At, run

KEEP_ONE = {"default_hooks.checkpoint.max_keep_ckpts": 1}


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


def test_the_only_checkpoint_stays_until_the_next_is_written(tiny_dataset, tmp_path, writes):
    run(tiny.training_config(tiny_dataset, tmp_path, **KEEP_ONE), tmp_path)
    assert writes == {"epoch_1.pth": set(), "epoch_2.pth": {"epoch_1.pth"}, "epoch_3.pth": {"epoch_2.pth"}}
    assert names(tmp_path) == {"epoch_3.pth"}


def test_so_does_the_best(tiny_dataset, tmp_path, writes, monkeypatch):
    rising = count()
    monkeypatch.setattr(VariantsCocoMetric, "compute_metrics", lambda *_: {"ensemble/AP": next(rising) / 10})
    best = {"default_hooks.checkpoint": dict(save_best="coco/ensemble/AP", rule="greater", max_keep_ckpts=1)}
    run(tiny.training_config(tiny_dataset, tmp_path, **best, train_cfg=dict(max_epochs=3, val_interval=1)), tmp_path)
    assert "best_coco_ensemble_AP_epoch_1.pth" in writes["best_coco_ensemble_AP_epoch_2.pth"]
    assert "best_coco_ensemble_AP_epoch_2.pth" in writes["best_coco_ensemble_AP_epoch_3.pth"]
    assert names(tmp_path) == {"epoch_3.pth", "best_coco_ensemble_AP_epoch_3.pth"}


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
