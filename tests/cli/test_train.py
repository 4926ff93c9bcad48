import errno
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from mmdet.models.detectors import TwoStageDetector

from rgacli.api import train as api
from rgacli.cli.train_options import Tracker
from rgacli.config.dataset import dataset_config
from rgacli.config.files import load_config
from rgacli.data.synthetic import VERSION
from rgacli.engine.trackers import TRACKERS
from rgacli.errors import RunFailed
from rgacli.runs import Run
from tests.cli.commands import EPOCHS, ITERATIONS, RUN, TINY, error_line, invoke, logged, settings, start

HEADS = ("1to1", "1to9")


def train(dataset, *arguments, name="new"):
    return invoke("train", "quickstart", "--data", dataset, "--name", name, *TINY, *arguments)


@pytest.fixture
def without_training(monkeypatch):
    """Leaves all of `rgacli train` but the training itself."""

    def leave_a_checkpoint(cfg, checkpoints, *_):
        checkpoints.mkdir()
        (checkpoints / "epoch_1.pth").touch()

    monkeypatch.setattr(api, "train_prepared", leave_a_checkpoint)


@pytest.fixture
def fails_at(monkeypatch):
    """Raises an error in a training's n-th iteration, from 0."""

    def arrange(iteration, error):
        remaining = iter(range(iteration))
        loss = TwoStageDetector.extract_feat

        def failing(*arguments, **options):
            if next(remaining, None) is None:
                raise error
            return loss(*arguments, **options)

        monkeypatch.setattr(TwoStageDetector, "extract_feat", failing)

    return arrange


# What a training leaves


def test_a_training_leaves_one_run_directory_and_nothing_else(trained):
    assert [path.name for path in trained.root.iterdir()] == ["runs"]
    top = {".lock", "checkpoints", "config.py", "data.json", "figures", "logs", "metrics.jsonl"}
    assert {path.name for path in trained.run.iterdir()} == top
    checkpoints = {"best.pth", *(f"epoch_{epoch + 1}.pth" for epoch in range(EPOCHS))}
    assert {path.name for path in (trained.run / "checkpoints").iterdir()} == checkpoints
    assert {path.name for path in (trained.run / "figures").iterdir()} == {
        f"curves.{kind}" for kind in ("png", "svg", "csv")
    }


def test_every_step_is_logged_once_with_lambda_falling_from_lambda0_to_one(trained):
    steps, _ = logged(trained.run)
    assert [step["iter"] for step in steps] == list(range(1, ITERATIONS + 1))
    assert [step["lambda"] for step in steps] == pytest.approx([7 - 6 * t / ITERATIONS for t in range(ITERATIONS)])


def test_every_step_has_the_losses_and_what_each_head_drew(trained):
    for step in logged(trained.run)[0]:
        parts = [key for key in step if "loss" in key and key != "loss"]
        assert {*parts} >= {"loss_rpn_cls", "loss_rpn_bbox", *(f"{head}.loss_cls" for head in HEADS)}
        assert step["loss"] == pytest.approx(sum(step[key] for key in parts), rel=1e-4)
        for head in HEADS:
            assert 0 <= step[f"{head}.positives"] <= 32
            assert step[f"{head}.positives"] + step[f"{head}.negatives"] == pytest.approx(64)
            assert 0 <= step[f"{head}.acc_pos"] <= 100
            assert 0 <= step[f"{head}.acc_neg"] <= 100


def test_validation_is_logged_at_its_iteration_for_each_head_and_the_ensemble(trained):
    (validation,) = logged(trained.run)[1]
    assert validation["step"] == ITERATIONS
    assert {f"coco/{variant}/AP50" for variant in (*HEADS, "ensemble")} <= set(validation)


def test_the_config_reloads_with_the_method_in_it(trained, dataset):
    cfg = load_config(str(trained.run / "config.py"))
    assert cfg.model.roi_head.ratios == ["1:1", "1:9"]
    assert next(hook.lambda0 for hook in cfg.custom_hooks if hook.type == "GradientAnnealingHook") == 7
    assert dataset_config(cfg.train_dataloader).ann_file == str(dataset / "annotations/train.json")
    assert cfg.train_cfg.max_epochs == EPOCHS
    assert cfg.randomness.seed == 0


def test_stdout_has_the_table_of_what_validation_found_alone(trained):
    title, *table = trained.output.stdout.splitlines()
    assert title == f"{RUN} in validation, and AP on images of so many objects"
    headings = [cell.strip() for cell in table[1].strip("┃").split("┃")]
    assert headings == ["head", "epoch", "AP", "AP50", "AP75", "1-3", "4-7", "8+"]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table if line.startswith("│")]
    assert [row[:2] for row in rows] == [[name, str(EPOCHS)] for name in ("1:1", "1:9", "ensemble")]
    (validation,) = logged(trained.run)[1]
    for name, row in zip((*HEADS, "ensemble"), rows, strict=True):
        keys = ("AP", "AP50", "AP75", "AP_1-3", "AP_4-7", "AP_8plus")
        values = [validation[f"coco/{name}/{key}"] for key in keys]
        assert row[2:] == ["-" if value is None else f"{value:.3f}" for value in values]


def test_json_has_what_the_table_and_the_last_lines_tell(run):
    """Of the last epoch again, in which no checkpoint is better."""
    (run / "checkpoints/epoch_3.pth").unlink()
    result = invoke("train", "--resume", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["run"], found["checkpoint"]) == (RUN, f"runs/{RUN}/checkpoints/epoch_3.pth")
    assert (found["best_by"], found["curves"]) == ("ensemble/AP", f"runs/{RUN}/figures/curves.png")
    assert found["best"] == found["last"]
    assert (found["last"]["epoch"], found["last"]["iteration"]) == (EPOCHS, ITERATIONS)
    (validation,) = logged(run)[1]
    for name, variant in (("1:1", "1to1"), ("ensemble", "ensemble")):
        assert found["last"]["heads"][name]["AP50"] == validation[f"coco/{variant}/AP50"]
        assert found["last"]["bins"][name]["1-3"] == validation[f"coco/{variant}/AP_1-3"]
    assert found["seconds"] > 0


def test_curves_that_cannot_be_drawn_are_no_reason_to_fail(folder, dataset, without_training, monkeypatch):
    def fail(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(api.curves, "draw", fail)
    result = train(dataset)
    assert result.exit_code == 0, result.stderr
    assert "the curves could not be drawn: no fonts" in result.stderr
    assert "done: runs/new/checkpoints/epoch_1.pth" in result.stderr
    assert result.stdout == ""  # nothing was validated


def test_what_is_kept_and_averaged_and_when_to_stop_is_in_the_config(folder, dataset, without_training):
    result = train(dataset, "--best", "1:9/AP50", "--patience", 2, "--ema-momentum", 0.001)
    assert result.exit_code == 0, result.stderr
    cfg = load_config("runs/new/config.py")
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    assert cfg.default_hooks.checkpoint.save_best == "coco/1to9/AP50"
    assert (hooks["PatienceHook"].monitor, hooks["PatienceHook"].patience) == ("coco/1to9/AP50", 2)
    assert hooks["StepEMAHook"].momentum == 0.001
    train(dataset, "--best", "none", name="other")
    cfg = load_config("runs/other/config.py")
    assert "save_best" not in cfg.default_hooks.checkpoint
    assert not {"PatienceHook", "StepEMAHook"} & {hook.type for hook in cfg.custom_hooks}


@pytest.mark.usefixtures("without_training")
def test_a_probe_of_gradients_is_kept_in_the_config_beside_the_runs_other_hooks(folder, dataset):
    result = train(dataset, "--probe-gradients", 7)
    assert result.exit_code == 0, result.stderr
    hooks = {hook.pop("type"): hook for hook in load_config("runs/new/config.py").custom_hooks}
    assert hooks["GradientProbeHook"] == dict(every=7, weight="layer4.0.conv1")
    assert "GradientAnnealingHook" in hooks
    for arguments, complaint in (
        (("--probe-weight", "layer4.0.conv1"), "--probe-weight layer4.0.conv1 goes with --probe-gradients."),
        (("--probe-gradients", 7, "--probe-weight", "gone"), "--probe-weight gone: ResNet has no such weight"),
    ):
        result = train(dataset, *arguments, name="bad")
        assert (result.exit_code, complaint in result.stderr) == (2, True), result.stderr
        assert not Path("runs/bad").exists()


def test_messages_are_plain_lines_on_stderr(trained):
    assert not {"\x1b", "\r"} & set(trained.output.stderr)
    lines = trained.output.stderr.splitlines()
    assert lines[0].startswith("learning rate 0.01 = 0.02 · 4/8 (linear scaling")
    assert lines[1] == f"run runs/{RUN}: 2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)"
    for shown in (
        f"training  {ITERATIONS}/{ITERATIONS}",
        f"epoch {EPOCHS}/{EPOCHS}",
        "ETA",
        "loss",
        "λ 2.00",
        "positives 1:1",
    ):
        assert any(shown in line for line in lines), shown
    assert any("validation AP" in line and "ensemble" in line for line in lines)
    assert lines[-4].startswith(f"done: runs/{RUN}/checkpoints/epoch_{EPOCHS}.pth, in 0:")
    assert lines[-3] == f"best: runs/{RUN}/checkpoints/best.pth, by ensemble/AP in validation"
    assert lines[-2] == f"curves: runs/{RUN}/figures/curves.png; data: runs/{RUN}/figures/curves.csv"
    assert lines[-1] == f"next: rgacli eval {RUN} --head all; rgacli analyze report {RUN}"


def test_lambda0_of_one_and_a_ratio_of_one_to_three_is_the_plain_baseline(folder, dataset):
    result = train(dataset, "--lambda0", 1, "--ratios", "1:3", "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    steps, _ = logged(folder / "runs/new")
    assert {step["lambda"] for step in steps} == {1.0}
    assert {key.split(".")[0] for key in steps[0] if key.endswith(".positives")} == {"1to3"}
    alone = invoke("eval", "--json")
    assert list(json.loads(alone.stdout)["heads"]) == ["1:3"]
    assert "single head" in error_line(invoke("ensemble").stderr)


# What the options do


@pytest.mark.parametrize(
    ("options", "lr", "message"),
    [
        ([], 0.01, "0.01 = 0.02 · 4/8 (linear scaling from the config's batch size; --lr sets it)"),
        (["--batch-size", "2"], 0.005, "0.005 = 0.02 · 2/8"),
        (["--batch-size", "8"], 0.02, "0.02 (the config's, for 8 images a step)"),
        (["--batch-size", "2", "--lr", "0.3"], 0.3, "0.3 (--lr)"),
        (["--batch-size", "2", "--accumulate", "8"], 0.04, "0.04 = 0.02 · 16/8"),
        (["--batch-size", "2", "--no-scale-lr"], 0.02, "0.02 (the config's, not scaled)"),
    ],
)
def test_the_learning_rate_follows_the_batch_size_and_says_so(folder, dataset, without_training, options, lr, message):
    result = train(dataset, *options)
    assert f"learning rate {message}" in result.stderr
    cfg = load_config("runs/new/config.py")
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
    assert not cfg.auto_scale_lr.enable


def test_options_reach_the_config(folder, dataset, without_training):
    options = ("--lambda0", 3, "--anneal", "none", "--ratios", "1:1,1:1,1:9", "--sampling", "hard", "--seed", 5)
    options += ("--head-loss", "mean")
    result = train(dataset, *options, "--epochs", 4, "--set", "model.train_cfg.rcnn.sampler.num=32")
    assert "3 R-CNN heads at 1:1, 1:1#2, 1:9 (hard sampling, mean of the losses), λ0 3 (none)" in result.stderr
    cfg = load_config("runs/new/config.py")
    assert (cfg.train_cfg.max_epochs, cfg.randomness.seed, cfg.model.train_cfg.rcnn.sampler.num) == (4, 5, 32)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], dict(type="OptimWrapper", clip_grad=dict(max_norm=35, norm_type=2))),
        (["--clip", 0.5], dict(clip_grad=dict(max_norm=0.5, norm_type=2))),
        (["--clip", 0], dict(clip_grad=None)),
        (["--accumulate", 3], dict(accumulative_counts=3)),
        (["--amp"], dict(type="MixedPrecisionOptimWrapper", dtype="float16")),
        (["--amp", "--amp-dtype", "bf16"], dict(type="MixedPrecisionOptimWrapper", dtype="bfloat16")),
        (["--amp-dtype", "bf16"], dict(type="MixedPrecisionOptimWrapper", dtype="bfloat16")),
    ],
)
def test_options_reach_the_optimizer_wrapper(folder, dataset, without_training, options, expected):
    assert train(dataset, *options).exit_code == 0
    wrapper = load_config("runs/new/config.py").optim_wrapper
    assert {key: wrapper[key] for key in expected} == expected


def test_a_run_lies_where_work_dir_says_and_resumes_there(folder, dataset):
    options = ("--auto-scale-lr", *TINY, "--cfg-options", "train_cfg.max_epochs=2", "default_hooks.logger.interval=2")
    result = invoke("train", "quickstart", "--data", dataset, "--work-dir", "out/of the way", *options)
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in folder.iterdir()] == ["out"]
    run = folder / "out/of the way"
    cfg = load_config(str(run / "config.py"))
    assert (cfg.train_cfg.max_epochs, cfg.default_hooks.logger.interval, cfg.trained_from) == (2, 2, "quickstart")
    assert [step["iter"] for step in logged(run)[0]] == [2, 4]
    (run / "checkpoints/epoch_2.pth").unlink()
    for done in ("done: ", "the training had ended already: "):
        result = invoke("train", "--resume", "--work-dir", run)
        assert (result.exit_code, f"{done}{run.absolute()}/checkpoints/epoch_2.pth" in result.stderr) == (0, True)
        assert [step["iter"] for step in logged(run)[0]] == [2, 4]


def test_a_run_that_another_process_trains_is_not_trained_twice(run):
    with Run(run).held():
        result = invoke("train", "--resume", "--name", RUN)
    assert result.exit_code == 2
    assert f"run runs/{RUN} is being trained by process {os.getpid()} on " in error_line(result.stderr)


def test_a_run_is_held_while_it_is_trained(folder, dataset, monkeypatch):
    seen = []
    monkeypatch.setattr(
        api, "train_prepared", lambda cfg, checkpoints, *_: seen.append(Run(checkpoints.parent).is_held())
    )
    train(dataset)
    assert seen == [True]


def test_all_that_saves_memory_or_time_goes_together(folder, dataset):
    result = train(dataset, "--amp-dtype", "bf16", "--accumulate", 2, "--clip", 1, "--epochs", 2)
    assert result.exit_code == 0, result.stderr
    steps, _ = logged(folder / "runs/new")
    assert [step["lambda"] for step in steps] == [7, 7, 4, 4]
    assert all(0 < step["loss"] < 20 for step in steps)


def test_an_optimizer_that_cancels_lambda_is_warned_of(folder, dataset):
    adam = "optim_wrapper.optimizer={'type': 'AdamW', 'lr': 1e-4, '_delete_': True}"
    result = train(dataset, "--epochs", 1, "--set", adam)
    assert result.exit_code == 0, result.stderr
    assert "AdamW divides a gradient by its own size and so cancels RGA's λ; use SGD with RGA." in result.stderr


def test_tensorboard_gets_the_scalars_where_asked_for(folder, dataset):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert train(dataset, "--epochs", 1, "--track", "tensorboard").exit_code == 0
    scalars = accumulator.EventAccumulator("runs/new/tensorboard").Reload()
    assert [event.value for event in scalars.Scalars("lambda")] == [7, 4]


def test_every_tracker_can_be_named():
    assert [tracker.value for tracker in Tracker] == list(TRACKERS)


def test_without_config_and_data_it_trains_the_quickstart_on_the_embedded_dataset(
    folder, dataset, without_training, monkeypatch
):
    cache = folder / "cache"
    shutil.copytree(dataset, cache / f"embedded-v{VERSION}")
    monkeypatch.setenv("RGACLI_CACHE", str(cache))
    result = invoke("train")
    assert "no CONFIG and no --data: training the quickstart config on the embedded dataset" in result.stderr
    (run,) = (folder / "runs").iterdir()
    assert run.name.startswith("quickstart_")
    assert dataset_config(load_config(str(run / "config.py")).train_dataloader).ann_file.startswith(str(cache))


def test_data_without_a_config_trains_the_small_detector_and_says_so(folder, dataset, without_training):
    assert "no CONFIG: training faster-rcnn_r18-lite_fpn_rga-prm" in invoke("train", "--data", dataset).stderr


def test_stock_configs_of_mmdet_are_found_by_name(folder, dataset, without_training):
    result = invoke("train", "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "--data", dataset, "--name", "stock")
    assert result.exit_code == 0, result.stderr
    cfg = load_config("runs/stock/config.py")
    assert (cfg.model.backbone.depth, cfg.model.roi_head.type) == (50, "ParallelRoIHead")


def test_weights_to_start_from_that_fit_in_part_are_warned_of(folder, run, dataset):
    checkpoint = torch.load(run / "checkpoints/epoch_3.pth", weights_only=True)
    checkpoint["state_dict"]["neck.fpn_convs.0.conv.bias"] = torch.zeros(5)
    torch.save(checkpoint, "other.pth")
    result = train(dataset, "--epochs", 1, "--set", "load_from=other.pth")
    assert result.exit_code == 0, result.stderr
    assert "the checkpoint fits the model in part: it has in other shapes neck.fpn_convs.0.conv.bias" in result.stderr


# Stopping and going on


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, dataset):
    """A run of six epochs to which Ctrl-C came after three iterations: its working folder, exit code and stderr."""
    root = tmp_path_factory.mktemp("interrupted")
    # A worker that persists would hold up the collection of garbage when a test resumes in this process.
    worker = settings({"train_dataloader.num_workers": 1})
    arguments = ("--data", dataset, "--epochs", 6, "--name", "stopped", *TINY, *worker)
    with start("train", "quickstart", *arguments, cwd=root, start_new_session=True) as process:
        metrics = root / "runs/stopped/metrics.jsonl"
        while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") >= 3):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the data-loading process too
        _, stderr = process.communicate(timeout=60)
    return root, process.returncode, stderr


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(interrupted):
    root, code, stderr = interrupted
    assert code == 130
    last = logged(root / "runs/stopped")[0][-1]["iter"]
    assert 3 <= last < 12
    assert f"stopped by SIGINT after iteration {last}." in error_line(stderr)
    assert "rgacli train --resume --name stopped" in error_line(stderr)
    assert (root / f"runs/stopped/checkpoints/iter_{last}.pth").is_file()


def test_a_resumed_run_ends_as_if_it_had_never_stopped(interrupted, monkeypatch):
    root, *_ = interrupted
    monkeypatch.chdir(root)
    result = invoke("train", "--resume", "--name", "stopped")
    assert result.exit_code == 0, result.stderr
    assert "from runs/stopped/checkpoints/iter_" in result.stderr
    steps, validations = logged(root / "runs/stopped")
    assert [step["iter"] for step in steps] == list(range(1, 13))
    assert [step["lambda"] for step in steps] == pytest.approx([7 - 6 * t / 12 for t in range(12)])
    assert [validation["step"] for validation in validations] == [12]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(folder, run, monkeypatch):
    for left in ("logs/last_checkpoint", "figures/curves.png"):
        (run / left).unlink()
    for path in (run / "checkpoints").iterdir():
        path.rename(path.with_name(f".{path.stem}.x2y.pth"))  # half written
    began = []

    def begin(cfg, checkpoints, metrics, hooks, resume_from):
        began.append((cfg.get("load_from"), resume_from, metrics.exists()))
        raise RunFailed("enough.")

    monkeypatch.setattr("rgacli.api.train.train_prepared", begin)
    result = invoke("train", "--resume")
    assert error_line(result.stderr) == "error: enough."
    assert "run runs/base has no checkpoint yet: from the beginning" in result.stderr
    assert began == [(None, None, False)]


def test_resuming_logs_no_step_and_no_validation_twice(folder, run):
    cfg = (run / "config.py").read_text()
    (run / "config.py").write_text(cfg.replace(f"val_interval={EPOCHS}", "val_interval=1"))
    (run / "checkpoints/epoch_3.pth").unlink()
    assert invoke("train", "--resume").exit_code == 0
    steps, validations = logged(run)
    assert [step["iter"] for step in steps] == list(range(1, ITERATIONS + 1))
    assert [validation["step"] for validation in validations] == [4, ITERATIONS]  # the one that is due now, too


@pytest.mark.slow
def test_a_yolo_dataset_is_trained_on_as_if_it_were_cocos_even_if_the_cache_is_emptied(folder, dataset, cache):
    """Same losses as on the same dataset in COCO's format; then resumed and evaluated without the cache."""
    assert invoke("data", "convert", dataset, "yolo", "--to", "yolo").exit_code == 0
    for data, name in ((dataset, "coco"), ("yolo", "yolo")):
        assert train(data, "--epochs", 2, name=name).exit_code == 0
    losses = [[step["loss"] for step in logged(folder / "runs" / name)[0]] for name in ("coco", "yolo")]
    assert losses[0] == losses[1]
    shutil.rmtree(cache / "annotations")
    (folder / "runs/yolo/checkpoints/epoch_2.pth").unlink()
    assert invoke("train", "--resume", "--name", "yolo").exit_code == 0
    assert [step["loss"] for step in logged(folder / "runs/yolo")[0]] == losses[0]
    shutil.rmtree(cache / "annotations")
    rows = [json.loads(invoke("eval", name, "--json").stdout)["heads"] for name in ("coco", "yolo")]
    assert repr(rows[0]) == repr(rows[1])
    assert invoke("eval", "coco", "--data", "yolo", "--json").exit_code == 0
    shutil.rmtree(cache / "annotations")
    (folder / "yolo/labels/val/000001.txt").write_text("")
    line = error_line(invoke("train", "--resume", "--name", "yolo").stderr)
    assert "gone from the cache, and cannot be made again" in line
    assert "Name the dataset by --data, or train on it anew" in line


def test_a_dataset_in_one_file_is_divided_for_training(folder, dataset, cache, without_training):
    (folder / "one").mkdir()
    shutil.copy(dataset / "annotations/train.json", folder / "one/annotations.json")
    (folder / "one/images").symlink_to(dataset / "images/train")
    assert "give --split-by 80:10:10" in error_line(train("one").stderr)
    result = train("one", "--split-by", "80:10:10")
    assert result.exit_code == 0, result.stderr
    cfg = load_config("runs/new/config.py")
    files = [dataset_config(cfg[f"{split}_dataloader"]).ann_file for split in ("train", "val", "test")]
    images = [len(json.loads(Path(file).read_text())["images"]) for file in files]
    assert images == [6, 1, 1]


def test_ctrl_c_before_the_first_step_leaves_nothing(folder, dataset, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "train_prepared", stopped)
    assert train(dataset).exit_code != 0
    assert list(folder.iterdir()) == []


# Failing

OUT_OF_MEMORY = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
}


@pytest.mark.parametrize("where", OUT_OF_MEMORY)
def test_out_of_memory_in_the_first_step_leaves_nothing(folder, dataset, fails_at, where):
    fails_at(0, OUT_OF_MEMORY[where])
    result = train(dataset)
    assert result.exit_code == 1
    assert "out of memory: lower --batch-size" in error_line(result.stderr)
    assert list(folder.iterdir()) == []


def test_out_of_memory_later_keeps_what_was_made_and_says_how_to_go_on(folder, dataset, fails_at):
    fails_at(3, OUT_OF_MEMORY["cuda"])
    result = train(dataset, "--epochs", 3)
    assert result.exit_code == 1
    assert "rgacli train --resume --name new" in error_line(result.stderr)
    assert (folder / "runs/new/checkpoints/epoch_1.pth").is_file()
    assert [step["iter"] for step in logged(folder / "runs/new")[0]] == [1, 2, 3]


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(folder, dataset):
    result = train(dataset, "--lr", 1e30)
    assert result.exit_code == 1
    assert "the loss is not finite at iteration" in error_line(result.stderr)
    for checkpoint in (folder / "runs/new").glob("checkpoints/*.pth"):
        weights = torch.load(checkpoint, weights_only=True)["state_dict"].values()
        assert all(torch.isfinite(weight).all() for weight in weights)


def test_an_image_that_cannot_be_read_is_named(folder, dataset):
    copy = shutil.copytree(dataset, folder / "cut")
    for image in (copy / "images/train").iterdir():
        os.truncate(image, 300)
    result = train(copy)
    assert result.exit_code == 1
    line = error_line(result.stderr)
    assert line.startswith(f"error: failed to load image: {copy}/images/train/0000")
    assert "rgacli data check" in line
    assert not (folder / "runs").exists()


def test_a_full_disk_keeps_the_earlier_checkpoints(folder, dataset, monkeypatch):
    replace = os.replace

    def full_from_the_second(source, target):
        if str(target).endswith("epoch_2.pth"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full_from_the_second)
    result = train(dataset, "--epochs", 3)
    assert result.exit_code == 1
    assert "the disk is full" in error_line(result.stderr)
    assert [path.name for path in (folder / "runs/new/checkpoints").iterdir()] == ["epoch_1.pth"]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert invoke("train", "--resume").exit_code == 0
    assert [step["iter"] for step in logged(folder / "runs/new")[0]] == list(range(1, ITERATIONS + 1))


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A working folder on a file system of 3 MB, where such a thing may be mounted."""
    root = tmp_path / "disk"
    root.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", root], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system cannot be mounted here")
    monkeypatch.chdir(root)
    yield root
    monkeypatch.undo()
    subprocess.run(["umount", "--lazy", root], check=True)


def test_a_disk_that_is_really_full_keeps_the_earlier_checkpoint(small_disk, dataset):
    result = train(dataset, "--epochs", 3)
    assert result.exit_code == 1
    assert "the disk is full" in error_line(result.stderr)
    assert [path.name for path in (small_disk / "runs/new/checkpoints").iterdir()] == ["epoch_1.pth"]
    torch.load(small_disk / "runs/new/checkpoints/epoch_1.pth", weights_only=True)
