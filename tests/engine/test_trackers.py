import importlib.util

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend

from rgacli.engine.metrics_log import JsonLinesVisBackend
from rgacli.engine.trackers import TRACKERS, set_tracker_folders, set_trackers
from rgacli.errors import UsageError
from rgacli.runs import Run
from tests.support import tiny
from tests.support.running import At, logged, resumed, run

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")


@pytest.fixture
def installed(monkeypatch):
    """As if all packages were."""
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


@pytest.mark.usefixtures("installed")
def test_each_tracker_is_one_of_mmengines_and_lies_in_the_run_under_its_name(tmp_path):
    cfg = Config()
    set_trackers(cfg, list(TRACKERS))
    set_tracker_folders(cfg, tmp_path / "mine")
    found = {backend["type"]: backend for backend in cfg.vis_backends[1:]}
    assert list(found) == list(TRACKERS.values())
    folders = {name: str(tmp_path / "mine" / name) for name in TRACKERS}
    for name, kind in TRACKERS.items():
        assert issubclass(VISBACKENDS.get(kind), BaseVisBackend)
        assert found[kind]["save_dir"] == (str(tmp_path / "mine") if name == "wandb" else folders[name])
    assert found["MLflowVisBackend"]["tracking_uri"] == f"sqlite:///{folders['mlflow']}/mlflow.db"
    assert found["MLflowVisBackend"]["run_name"] == "mine"
    assert found["ClearMLVisBackend"]["init_kwargs"] == dict(project_name="rgacli", task_name="mine")
    assert found["AimVisBackend"]["init_kwargs"] == dict(repo=folders["aim"], experiment="mine")
    assert found["PlainDVCLiveVisBackend"]["init_kwargs"]["dir"] == folders["dvclive"]
    for name in TRACKERS:
        (tmp_path / "mine" / name).mkdir(parents=True)
    assert {path.name for path in Run(tmp_path / "mine").parts()} == set(TRACKERS)


@pytest.mark.usefixtures("installed")
def test_a_run_that_has_moved_takes_its_trackers_along_and_keeps_what_they_said_themselves(tmp_path):
    own = [
        dict(type=TRACKERS["aim"], init_kwargs=dict(experiment="mine", log_system_params=True)),
        dict(type=TRACKERS["mlflow"], tracking_uri="http://server", tags=dict(a="b")),
    ]
    cfg = Config(dict(vis_backends=own))
    for name in ("before", "after"):
        set_tracker_folders(cfg, tmp_path / name)
    aim, mlflow = cfg.vis_backends[1:]
    assert aim["init_kwargs"] == dict(repo=f"{tmp_path}/after/aim", experiment="mine", log_system_params=True)
    assert (mlflow["tracking_uri"], mlflow["run_name"], mlflow["tags"]) == ("http://server", "after", dict(a="b"))
    assert mlflow["save_dir"] == f"{tmp_path}/after/mlflow"


def test_mlflow_logs_where_its_own_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    cfg = Config(dict(vis_backends=[dict(type=TRACKERS["mlflow"])]))
    set_tracker_folders(cfg, tmp_path)
    assert cfg.vis_backends[1]["tracking_uri"] == "http://server"
    assert "artifact_location" not in cfg.vis_backends[1]


@VISBACKENDS.register_module()
class SeedingVisBackend(JsonLinesVisBackend):
    """A tracker that seeds random numbers when it begins, as ClearML does, or fails to begin."""

    error = None

    @property
    def experiment(self):
        if self.error is not None:
            raise RuntimeError(self.error)
        torch.manual_seed(1337)
        return self


def test_a_tracker_that_seeds_random_numbers_changes_no_training(tiny_dataset, tmp_path, finished_run):
    backends = [dict(type="SeedingVisBackend", save_dir=str(tmp_path / "other"))]
    cfg = tiny.training_config(
        tiny_dataset, tmp_path, vis_backends=backends, train_cfg=dict(max_epochs=3, val_interval=10)
    )
    run(cfg, tmp_path)
    assert [line["loss"] for line in logged(tmp_path)] == [line["loss"] for line in logged(finished_run)]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("nobody is logged in", "nobody is logged in"),
        ("\n\x1b[95m\n----MissingToken-----\n\x1b[0m\nThe token is missing.\n\nSet it.", "The token is missing."),
        ("-- unconfigured", "RuntimeError: unconfigured$"),
        ("", "RuntimeError: $"),
    ],
)
def test_a_tracker_that_does_not_start_says_so_in_a_line(tiny_dataset, tmp_path, monkeypatch, said, shown):
    monkeypatch.setattr(SeedingVisBackend, "error", said)
    backends = [dict(type="SeedingVisBackend", save_dir=str(tmp_path / "other"))]
    with pytest.raises(UsageError, match=f"track=SeedingVisBackend: it does not start: .*{shown}"):
        run(tiny.training_config(tiny_dataset, tmp_path, vis_backends=backends), tmp_path)


def test_mlflow_keeps_a_run_in_the_run_directory(tiny_dataset, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    backends = [dict(type=TRACKERS["mlflow"])]
    run(tiny.training_config(tiny_dataset, tmp_path, vis_backends=backends, train_cfg=dict(max_epochs=1)), tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("rgacli").experiment_id])
    assert found.info.run_name == tmp_path.name
    history = client.get_metric_history(found.info.run_id, "lambda")
    assert [(metric.step, metric.value) for metric in history] == [(1, 7), (2, 5.5), (3, 4), (4, 2.5)]


def test_aim_keeps_a_run_in_the_run_directory(tiny_dataset, tmp_path):
    aim = pytest.importorskip("aim")
    backends = [dict(type=TRACKERS["aim"])]
    run(tiny.training_config(tiny_dataset, tmp_path, vis_backends=backends, train_cfg=dict(max_epochs=1)), tmp_path)
    repository = aim.Repo(str(tmp_path / "aim"))
    (found,) = repository.list_all_runs()
    assert aim.Run(found, repo=repository, read_only=True).experiment == tmp_path.name


def test_dvclive_keeps_a_run_in_the_run_directory(tiny_dataset, tmp_path, monkeypatch):
    pytest.importorskip("dvclive")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    backends, folder = [dict(type=TRACKERS["dvclive"])], tmp_path / "mine"
    run(tiny.training_config(tiny_dataset, folder, vis_backends=backends, train_cfg=dict(max_epochs=1)), folder)
    assert list((tmp_path / "cwd").iterdir()) == []
    lines = (folder / "dvclive/plots/metrics/lambda.tsv").read_text().splitlines()
    assert lines == ["step\tlambda", "1\t7.0", "2\t5.5", "3\t4.0", "4\t2.5"]


def test_what_is_no_tracker_is_answered_by_those_there_are():
    with pytest.raises(UsageError, match="track=numpy: it can be tensorboard, wandb, mlflow"):
        set_trackers(Config(), ["numpy"])


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=f"track={name}: it is not installed here; pip install {name}"):
        set_trackers(Config(), [name])
