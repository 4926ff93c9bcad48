import importlib.util

import pytest
from mmengine.config import Config

from rgacli.engine.trackers import TRACKERS, set_tracker_folders, set_trackers
from rgacli.errors import UsageError
from tests.support import tiny
from tests.support.running import At, logged, resumed, run

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")


@pytest.fixture
def installed(monkeypatch):
    """As if both packages were."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


def scalars(folder):
    """Tag -> (step, value) of each event in TensorBoard's files."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_gets_what_metrics_get(tiny_dataset, tmp_path):
    pytest.importorskip("tensorboard")
    cfg = tiny.training_config(
        tiny_dataset, tmp_path, vis_backends=[dict(type=TRACKERS["tensorboard"])], train_cfg=dict(max_epochs=1)
    )
    run(cfg, tmp_path)
    found = scalars(tmp_path / "tensorboard")
    assert found["lambda"] == [(1, 7), (2, 5.5), (3, 4), (4, 2.5)]
    for line in logged(tmp_path):
        for name in ("loss", "1to1.loss_cls", "1to9.positives"):
            assert dict(found[name])[line["step"]] == pytest.approx(line[name], rel=1e-6)
    assert "coco/ensemble/AP" in found
    assert not [tag for tag in found if ":" in tag]


def test_a_resumed_run_goes_on_in_the_same_place(tiny_dataset, tmp_path):
    pytest.importorskip("tensorboard")
    cfg = tiny.training_config(tiny_dataset, tmp_path, vis_backends=[dict(type=TRACKERS["tensorboard"])])
    (tmp_path / "config.py").write_text(cfg.pretty_text)

    def fail(runner):
        raise RuntimeError("as it were")

    with pytest.raises(RuntimeError, match="as it were"):
        run(cfg, tmp_path, At(6, fail))
    resumed(tmp_path, tmp_path / "checkpoints/epoch_1.pth")
    assert [step for step, _ in scalars(tmp_path / "tensorboard")["lambda"]][-8:] == list(range(5, 13))


def test_wandb_writes_into_the_run_directory(tiny_dataset, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    backends = [dict(type=TRACKERS["wandb"])]
    run(tiny.training_config(tiny_dataset, tmp_path, vis_backends=backends, train_cfg=dict(max_epochs=1)), tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.usefixtures("installed")
def test_trackers_are_added_once_and_placed_in_the_run_directory(tmp_path):
    own = dict(type=TRACKERS["wandb"], init_kwargs=dict(project="mine"))
    cfg = Config(dict(vis_backends=[dict(type="LocalVisBackend"), own]))
    set_trackers(cfg, ["tensorboard", "wandb", "tensorboard"])
    for _ in range(2):  # as a resumed run does
        set_tracker_folders(cfg, tmp_path)
    assert cfg.vis_backends == [
        dict(type="JsonLinesVisBackend", save_dir=str(tmp_path)),
        dict(type=TRACKERS["wandb"], save_dir=str(tmp_path), init_kwargs=dict(project="mine", name=tmp_path.name)),
        dict(type=TRACKERS["tensorboard"], save_dir=f"{tmp_path}/tensorboard"),
    ]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=f"track={name}: it is not installed here; pip install {name}"):
        set_trackers(Config(), [name])
