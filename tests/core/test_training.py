import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import get_file_backend
from mmengine.hooks import Hook

from rgacli.core.run_hooks import Interrupted, InterruptHook
from rgacli.core.training import prepare, train
from rgacli.errors import RunFailed, UsageError
from tests.core import tiny

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")

ITERATIONS = 12  # 3 epochs of 4


class At(Hook):
    """Does something once, after (or before) an iteration."""

    def __init__(self, iteration, act, before=False):
        self.iteration, self.act, self.before = iteration, act, before

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.before and runner.iter + 1 == self.iteration:
            self.act(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.before and runner.iter + 1 == self.iteration:
            self.act(runner)


class Counting(Hook):
    """Counts the iterations trained."""

    def __init__(self):
        self.count = 0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.count += 1


def run(cfg, folder, *hooks, resume_from=None):
    train(cfg, folder / "checkpoints", folder / "metrics.jsonl", [tiny.Seeding(), *hooks], resume_from)


def interrupted(dataset, folder, iteration, number=signal.SIGINT, **settings):
    """A run that a signal stopped during an iteration."""
    cfg = tiny.training_config(dataset, folder, **settings)
    (folder / "config.py").write_text(cfg.pretty_text)
    with pytest.raises(Interrupted) as stop:
        run(cfg, folder, At(iteration, lambda runner: os.kill(os.getpid(), number)))
    assert str(stop.value) == f"stopped by {number.name} after iteration {iteration}."
    return folder / f"checkpoints/iter_{iteration}.pth"


def resumed(folder, checkpoint):
    """Goes on with a run by the config that it left. Returns the number of iterations trained."""
    cfg, counting = Config.fromfile(folder / "config.py"), Counting()
    prepare(cfg, folder, folder / "checkpoints")
    run(cfg, folder, counting, resume_from=checkpoint)
    return counting.count


def logged(folder):
    """The lines of metrics.jsonl that training left; every line has to be JSON of the strict kind."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in (folder / "metrics.jsonl").open()]
    return [line for line in lines if "loss" in line]


def weights(folder, name="epoch_3.pth"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# --- what a run leaves


def test_a_run_leaves_its_checkpoints_and_a_line_per_iteration(finished_run):
    names = sorted(path.name for path in (finished_run / "checkpoints").iterdir())
    assert names == ["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]
    lines = logged(finished_run)
    assert [line["iter"] for line in lines] == list(range(1, ITERATIONS + 1))
    for line in lines:
        assert {"loss", "lambda", "lr", "1to1.loss_cls", "1to9.acc_neg", "1to1.positives"} <= line.keys()


def test_what_has_no_number_is_null_in_metrics(finished_run):
    validation = [json.loads(line) for line in (finished_run / "metrics.jsonl").open() if "coco/" in line]
    assert len(validation) == 1
    assert validation[0]["coco/ensemble/AP"] >= 0
    assert validation[0]["coco/ensemble/APl"] is None  # there is no large object in a 64x64 image


def test_the_logged_loss_is_the_sum_of_its_parts(finished_run):
    for line in logged(finished_run):
        parts = [value for name, value in line.items() if "loss_" in name]
        assert len(parts) == 6  # the RPN's two and each head's
        assert line["loss"] == pytest.approx(sum(parts), rel=1e-5)


def test_training_says_nothing_on_stdout(tiny_dataset, tmp_path, capfd):
    run(tiny.training_config(tiny_dataset, tmp_path, train_cfg=dict(max_epochs=1)), tmp_path)
    assert capfd.readouterr().out == ""


def test_runs_of_one_process_write_into_their_own_files(finished_run, tiny_dataset, tmp_path):
    before = (finished_run / "metrics.jsonl").read_bytes()
    run(tiny.training_config(tiny_dataset, tmp_path, train_cfg=dict(max_epochs=1)), tmp_path)
    assert len(logged(tmp_path)) == 4
    assert (finished_run / "metrics.jsonl").read_bytes() == before


def test_tensorboard_gets_the_scalars_where_the_config_asks_for_it(tiny_dataset, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    backends = [dict(type="TensorboardVisBackend")]
    cfg = tiny.training_config(tiny_dataset, tmp_path, vis_backends=backends, train_cfg=dict(max_epochs=1))
    run(cfg, tmp_path)
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    scalars = accumulator.EventAccumulator(str(events)).Reload()
    assert [event.value for event in scalars.Scalars("lambda")] == [7, 5.5, 4, 2.5]
    assert {"1to1.loss_cls", "1to9.positives"} <= set(scalars.Tags()["scalars"])
    assert len(logged(tmp_path)) == 4  # beside it, not in its place


# --- interruption and resuming


@pytest.mark.parametrize(
    ("iteration", "number"),
    [
        pytest.param(6, signal.SIGINT, id="in-mid-epoch"),
        pytest.param(4, signal.SIGTERM, id="at-the-end-of-an-epoch"),
    ],
)
def test_an_interrupted_run_resumes_to_what_it_would_have_been(finished_run, tiny_dataset, tmp_path, iteration, number):
    before = signal.getsignal(number)
    checkpoint = interrupted(tiny_dataset, tmp_path, iteration, number)
    assert signal.getsignal(number) is before
    assert len(logged(tmp_path)) == iteration
    assert resumed(tmp_path, checkpoint) == ITERATIONS - iteration
    found, expected = logged(tmp_path), logged(finished_run)
    assert [line["iter"] for line in found] == [line["iter"] for line in expected]
    assert [line["lambda"] for line in found] == [line["lambda"] for line in expected]
    assert [line["loss"] for line in found] == [line["loss"] for line in expected]
    assert_same_weights(weights(tmp_path), weights(finished_run))


def test_with_accumulation_lambda_goes_on_where_it_was(tiny_dataset, tmp_path):
    resumed(tmp_path, interrupted(tiny_dataset, tmp_path, 6, **{"optim_wrapper.accumulative_counts": 2}))
    assert [line["lambda"] for line in logged(tmp_path)] == [7 - i // 2 for i in range(ITERATIONS)]


def test_a_run_resumed_from_an_earlier_checkpoint_logs_nothing_twice(finished_run, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "copy")  # as if it had been killed after its last line
    assert resumed(folder, folder / "checkpoints/epoch_1.pth") == ITERATIONS - 4
    strip = ("time", "data_time")
    lines = [
        [{key: value for key, value in json.loads(line).items() if key not in strip} for line in path.open()]
        for path in (folder / "metrics.jsonl", finished_run / "metrics.jsonl")
    ]
    assert lines[0] == lines[1]


def test_the_first_signal_is_noted_and_the_second_ends_the_process_as_usual():
    # A shell starts background jobs with SIGINT ignored: the test must not depend on how it was started.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    hook = InterruptHook(Path("nowhere"))
    hook.before_train(None)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        hook.restore()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_a_checkpoint_that_is_none_is_refused_before_anything_is_logged(tiny_dataset, tmp_path):
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match="is damaged"):
        run(tiny.training_config(tiny_dataset, tmp_path / "run"), tmp_path / "run", resume_from=damaged)
    assert not (tmp_path / "run/metrics.jsonl").exists()


# --- failures


def test_a_loss_that_is_not_finite_stops_the_run_before_a_checkpoint_is_written(tiny_dataset, tmp_path):
    def spoil(runner):
        runner.model.roi_head.bbox_head[1].fc_cls.bias.data.fill_(float("nan"))

    with pytest.raises(RunFailed) as failure:
        run(tiny.training_config(tiny_dataset, tmp_path), tmp_path, At(4, spoil, before=True))
    message = str(failure.value)
    assert "not finite at iteration 4" in message
    assert "1to9.loss_cls" in message
    assert "1to1" not in message
    assert "image ids" in message
    assert not list(tmp_path.rglob("*.pth"))


def test_what_cannot_be_built_is_a_usage_error_in_one_line(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path)
    cfg.model.backbone.type = "NoSuchBackbone"
    with pytest.raises(UsageError, match="NoSuchBackbone") as error:
        run(cfg, tmp_path)
    assert "\n" not in str(error.value)


def test_an_error_during_training_is_raised_as_it_is(tiny_dataset, tmp_path):
    def fail(runner):
        raise ValueError("in the midst of it")

    with pytest.raises(ValueError, match="in the midst of it"):
        run(tiny.training_config(tiny_dataset, tmp_path), tmp_path, At(1, fail))


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


# --- the config of a run


def test_a_prepared_config_reads_back_the_same_and_can_be_prepared_again(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path, vis_backends=[dict(type="TensorboardVisBackend")])
    again = Config.fromstring(cfg.pretty_text, ".py")
    assert again.to_dict() == cfg.to_dict()
    prepare(again, tmp_path, tmp_path / "checkpoints")
    assert again.to_dict() == cfg.to_dict()


def test_a_run_directory_may_be_moved(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path / "old")
    prepare(cfg, tmp_path / "new", tmp_path / "new/checkpoints")
    assert str(tmp_path / "old") not in cfg.pretty_text


def test_the_configs_own_checkpoint_settings_stay(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path, **{"default_hooks.checkpoint.max_keep_ckpts": 1})
    run(cfg, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch_3.pth"]
