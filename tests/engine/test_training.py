import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from rgacli.engine.hooks import FiniteLossHook, Interrupted, InterruptHook, outlast_signals
from rgacli.engine.reproducible import SeededDataset
from rgacli.engine.training import set_run_folder
from rgacli.errors import RunFailed, UsageError
from rgacli.runs import Run
from tests.support import tiny
from tests.support.processes import ROOT
from tests.support.running import ITERATIONS, At, assert_same, interrupted, logged, resumed, run, saved

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")

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


# --- interruption and resuming


WORKERS = {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}


@pytest.mark.parametrize(
    ("iteration", "number", "settings"),
    [
        pytest.param(6, signal.SIGINT, {}, id="in-mid-epoch"),
        pytest.param(6, signal.SIGTERM, WORKERS, id="in-mid-epoch-with-workers"),
        pytest.param(4, signal.SIGTERM, {}, id="at-the-end-of-an-epoch"),
        pytest.param(4, signal.SIGINT, WORKERS, id="at-the-end-of-an-epoch-with-workers"),
    ],
)
def test_an_interrupted_run_resumes_to_what_it_would_have_been(
    finished_run, tiny_dataset, tmp_path, iteration, number, settings
):
    """To the last bit, with flips, and whether the data are loaded by this process or by others."""
    before = signal.getsignal(number)
    checkpoint = interrupted(tiny_dataset, tmp_path, iteration, number, **settings)
    assert signal.getsignal(number) is before
    assert len(logged(tmp_path)) == iteration
    assert resumed(tmp_path, checkpoint) == ITERATIONS - iteration
    found, expected = logged(tmp_path), logged(finished_run)
    for key in ("iter", "lambda", "lr", "loss"):
        assert [line[key] for line in found] == [line[key] for line in expected]
    assert_same(saved(tmp_path), saved(finished_run))


def test_an_interrupted_run_tells_its_last_checkpoint_even_when_it_is_copied(tiny_dataset, tmp_path):
    (tmp_path / "run").mkdir()
    last = interrupted(tiny_dataset, tmp_path / "run", 6)
    for path in last.parent.iterdir():
        os.utime(path, (0, 0))
    (tmp_path / "run/checkpoints/epoch_1.pth").touch()
    assert Run(tmp_path / "run").last_checkpoint() == last


def test_a_run_resumed_at_an_epochs_end_is_what_it_would_have_been(finished_run, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "copy")
    assert resumed(folder, folder / "checkpoints/epoch_2.pth") == 4
    assert_same(saved(folder), saved(finished_run))


@pytest.mark.parametrize(
    "loading",
    [{}, {"num_workers": 2}, {"num_workers": 1, "persistent_workers": True}],
    ids=["itself", "workers", "persistent"],
)
def test_a_run_that_counts_iterations_is_resumed_alike(tiny_dataset, tmp_path, monkeypatch, loading):
    """mmdet's 90k schedules: an endless sampler, and no epochs; whoever loads the data, nothing of it goes on."""
    by_iterations = {
        "train_cfg": dict(type="IterBasedTrainLoop", max_iters=10, val_interval=10, _delete_=True),
        "train_dataloader.sampler": dict(type="InfiniteSampler"),
        **{f"train_dataloader.{key}": value for key, value in loading.items()},
        "default_hooks.checkpoint": dict(by_epoch=False, interval=5),
        "log_processor.by_epoch": False,
    }
    whole, folder = tmp_path / "whole", tmp_path / "resumed"
    cfg = tiny.training_config(tiny_dataset, whole, **by_iterations)
    cfg.param_scheduler = []
    run(cfg, whole)
    assert not multiprocessing.active_children()
    shutil.copytree(whole, folder)
    (folder / "config.py").write_text(cfg.pretty_text)
    loaded, load = [], SeededDataset.__getitem__
    monkeypatch.setattr(SeededDataset, "__getitem__", lambda self, index: loaded.append(index) or load(self, index))
    assert resumed(folder, folder / "checkpoints/iter_5.pth") == 5
    assert len(loaded) == (0 if loading else 5)  # an image each, by this process: nothing of the first five iterations
    assert_same(saved(folder, "iter_10.pth"), saved(whole, "iter_10.pth"))
    assert [line["lambda"] for line in logged(folder)] == pytest.approx([7 - 0.6 * i for i in range(10)])


THREE = {"optim_wrapper.accumulative_counts": 3}  # iterations to a step, of which an epoch has 4

SCALED = {"optim_wrapper.type": "MixedPrecisionOptimWrapper", "optim_wrapper.dtype": "float16"}


def test_a_signal_waits_for_the_step_that_gradients_are_accumulated_for(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path, **THREE)
    with pytest.raises(Interrupted, match="after iteration 9"):
        run(cfg, tmp_path, At(7, lambda runner: os.kill(os.getpid(), signal.SIGINT)))


@pytest.mark.parametrize("precision", [{}, SCALED], ids=["fp32", "fp16"])
def test_gradients_that_are_accumulated_are_resumed_as_well(tiny_dataset, tmp_path, precision):
    whole, folder = tmp_path / "whole", tmp_path / "resumed"
    cfg = tiny.training_config(tiny_dataset, whole, **THREE, **precision)
    run(cfg, whole)
    assert "gradients" in torch.load(whole / "checkpoints/epoch_1.pth", weights_only=True)
    shutil.copytree(whole, folder)
    (folder / "config.py").write_text(cfg.pretty_text)
    assert resumed(folder, folder / "checkpoints/epoch_1.pth") == ITERATIONS - 4
    assert_same(saved(folder), saved(whole))


def test_a_killed_run_resumes_from_its_last_checkpoint_to_what_it_would_have_been(finished_run, tiny_dataset, tmp_path):
    (tmp_path / "config.py").write_text(tiny.training_config(tiny_dataset, tmp_path, **WORKERS).pretty_text)
    code = """
        import os, signal, sys
        from pathlib import Path
        from mmengine.config import Config
        from rgacli.engine.training import train
        from tests.support.running import At

        folder = Path(sys.argv[1])
        kill = At(6, lambda runner: os.kill(os.getpid(), signal.SIGKILL))
        cfg = Config.fromfile(folder / "config.py")
        train(cfg, folder / "checkpoints", folder / "metrics.jsonl", [kill], None)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert len(logged(tmp_path)) >= 5
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.pth")
    assert checkpoint.name == "epoch_1.pth"
    assert resumed(tmp_path, checkpoint) == ITERATIONS - 4
    assert [line["iter"] for line in logged(tmp_path)] == list(range(1, ITERATIONS + 1))
    assert_same(saved(tmp_path), saved(finished_run))


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


def test_a_data_loading_process_outlasts_signals_but_for_its_runs_own(tmp_path):
    def load():
        outlast_signals(0)
        (tmp_path / "ready").touch()
        time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=load)
    process.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    for name in ("INT", "TERM"):  # as Ctrl-C in a terminal, as a batch system
        subprocess.run(["kill", f"-{name}", str(process.pid)], check=True)
    process.join(0.5)
    assert process.is_alive()
    process.terminate()
    process.join(10)
    assert process.exitcode == 0


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


def test_an_error_that_follows_from_a_loss_that_is_not_finite_is_told_by_its_cause(tiny_dataset, tmp_path):
    def spoil(runner):
        runner.model.roi_head.bbox_head[1].fc_cls.bias.data.fill_(float("nan"))

    def fail(runner):
        raise IndexError("in consequence")

    with pytest.raises(RunFailed, match="not finite at iteration 2") as failure:
        run(tiny.training_config(tiny_dataset, tmp_path), tmp_path, At(2, spoil, before=True), At(3, fail, before=True))
    assert isinstance(failure.value.__cause__, IndexError)


def test_the_first_of_several_losses_that_are_not_finite_is_named(tiny_dataset, tmp_path):
    def spoil(runner):
        runner.model.roi_head.bbox_head[1].fc_cls.bias.data.fill_(float("nan"))

    with pytest.raises(RunFailed, match="not finite at iteration 2"):
        run(tiny.training_config(tiny_dataset, tmp_path), tmp_path, At(2, spoil, before=True))


def test_losses_are_looked_at_every_ten_iterations_and_before_a_checkpoint():
    hook, looked = FiniteLossHook(), []
    hook.found = lambda: looked.append(len(hook._pending))
    batch = {"data_samples": []}
    for iteration in range(23):
        runner = SimpleNamespace(iter=iteration)
        hook.after_train_iter(runner, iteration, batch, {"loss": torch.tensor(1.0)})
    hook.before_checkpoint(None)
    assert looked == [10, 10, 3]


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


# --- the config of a run


def test_a_prepared_config_reads_back_the_same_and_can_be_prepared_again(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path, vis_backends=[dict(type="TensorboardVisBackend")])
    again = Config.fromstring(cfg.pretty_text, ".py")
    assert again.to_dict() == cfg.to_dict()
    set_run_folder(again, tmp_path, tmp_path / "checkpoints")
    assert again.to_dict() == cfg.to_dict()


def test_a_run_directory_may_be_moved(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path / "old")
    set_run_folder(cfg, tmp_path / "new", tmp_path / "new/checkpoints")
    assert str(tmp_path / "old") not in cfg.pretty_text
