import os
from datetime import datetime
from pathlib import Path

import pytest

from rgacli.config.run_record import read_record, size_of, validation_of
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.runs import Run
from tests.support.run_folders import CONFIG, write_checkpoint, write_run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record_of(path):
    return read_record(Run(Path(path)))


def test_a_record_tells_what_was_trained_on_what_how_far_and_how_well():
    write_run("runs/mine", [0.1, 0.3, 0.2], seconds=1_000_000_000)
    record = record_of("runs/mine")
    assert (record.name, record.config, record.data) == ("mine", "quickstart", Path("/data/birds"))
    assert (record.lambda0, record.anneal, record.ratios, record.sampling) == (5, "linear", ("1:1", "1:9"), "hard")
    assert (record.epoch, record.epochs, record.iteration, record.iterations) == (3, 4, 30, None)
    assert (record.last.epoch, record.last.iteration, record.last.score) == (3, 30, 0.2)
    assert (record.best.epoch, record.best.score, record.best.metric) == (2, 0.3, "AP")
    assert record.best.heads == {"1:1": {"AP": 0.25}, "1:9": {"AP": 0.5}, "ensemble": {"AP": 0.3}}
    assert list(record.best.heads)[-1] == "ensemble"
    assert record.best.bins == {"1:1": {}, "1:9": {}, "ensemble": {}}
    assert record.begun == datetime.fromtimestamp(1_000_000_000).astimezone()
    assert record.state == "interrupted"
    assert record.problems == ()


def test_a_run_is_finished_once_its_last_epoch_has_a_checkpoint():
    path = write_run("runs/mine", [0.1, 0.3, 0.2])
    assert record_of(path).state == "interrupted"
    write_checkpoint(path / "checkpoints/epoch_4.pth")
    assert record_of(path).state == "finished"
    with Run(path).held():
        assert record_of(path).state == "running"
    assert record_of(path).state == "finished"


def test_a_converted_dataset_is_named_and_not_the_cache():
    path = write_run("runs/mine")
    origin = "metainfo=dict(converted_from=('/data/yolo/data.yaml', None))"
    (path / "config.py").write_text(CONFIG.replace("ann_file=", f"{origin}, ann_file="))
    assert record_of(path).data == Path("/data/yolo/data.yaml")


@pytest.mark.parametrize(
    ("monitor", "metric", "scores", "state"),
    [
        ("coco/ensemble/AP", "coco/{}/AP", [0.1, 0.3, 0.2], "interrupted"),
        ("coco/ensemble/AP", "coco/{}/AP", [0.3, 0.1, 0.3], "stopped"),  # an equal is none better
        ("coco/ensemble/AP", "coco/{}/AP", [0.3, None, None], "stopped"),
        ("coco/1to9/AP", "coco/{}/AP", [0.1, 0.2, 0.3], "stopped"),  # that head never improves
        ("crowdhuman/ensemble/mMR", "crowdhuman/{}/mMR", [0.3, 0.4, 0.5], "stopped"),
        ("crowdhuman/ensemble/mMR", "crowdhuman/{}/mMR", [0.5, 0.4, 0.3], "interrupted"),
    ],
)
def test_a_run_that_ran_out_of_patience_was_not_interrupted(monitor, metric, scores, state):
    path = write_run("runs/mine", scores, metric=metric)
    hook = f"custom_hooks = [dict(type='PatienceHook', monitor='{monitor}', patience=2),"
    (path / "config.py").write_text(CONFIG.replace("custom_hooks = [", hook))
    assert record_of(path).state == state
    write_checkpoint(path / "checkpoints/epoch_4.pth")
    assert record_of(path).state == "finished"


@pytest.mark.parametrize("hook", ["", ", monitor=3, patience=2", ", monitor='AP', patience=2", ", monitor='a/b/c'"])
def test_an_early_stopping_that_is_damaged_is_none(hook):
    path = write_run("runs/mine", [0.4, 0.2, 0.1])  # of 4 epochs
    text = f"custom_hooks = [dict(type='PatienceHook'{hook}),"
    (path / "config.py").write_text(CONFIG.replace("custom_hooks = [", text))
    assert record_of(path).state == "interrupted"


def test_a_run_that_was_not_to_be_trained_is_finished_once_it_has_its_starting_point():
    path = write_run("runs/mine")
    (path / "config.py").write_text(CONFIG.replace("max_epochs=4", "max_epochs=0"))
    write_checkpoint(path / "checkpoints/epoch_0.pth")
    record = record_of(path)
    assert (record.epoch, record.epochs, record.state) == (None, 0, "finished")


def test_a_training_by_iterations_counts_those():
    path = write_run("runs/mine", [0.1])
    (path / "config.py").write_text(CONFIG.replace("max_epochs=4", "max_iters=20"))
    (path / "metrics.jsonl").write_text('{"loss": 1.0, "iter": 10, "step": 10}\n{"coco/1to1/AP": 0.5, "step": 10}\n')
    record = record_of(path)
    assert (record.epochs, record.iterations, record.iteration, record.epoch) == (None, 20, 10, None)
    assert (record.last.checkpoint, record.state) == ("iter_10", "interrupted")
    write_checkpoint(path / "checkpoints/iter_20.pth")
    assert record_of(path).state == "finished"


def test_on_crowdhuman_the_lowest_miss_rate_is_the_best():
    record = record_of(write_run("runs/mine", [0.6, 0.4, 0.5], metric="crowdhuman/{}/mMR"))
    assert (record.best.epoch, record.best.metric, record.last.score) == (2, "mMR", 0.5)


def test_a_validation_without_a_score_is_never_the_best():
    record = record_of(write_run("runs/mine", [0.1, None]))
    assert (record.last.score, record.best.epoch) == (None, 1)
    assert record_of(write_run("runs/other", [None])).best is None


def test_the_best_of_equals_is_the_first():
    assert record_of(write_run("runs/mine", [0.1, 0.1])).best.epoch == 1


@pytest.mark.parametrize(
    ("name", "expected"), [("yolo_v2_20250102-030405", "yolo_v2"), ("mine", None), ("a_2025-030405", None)]
)
def test_a_run_of_before_configs_were_noted_tells_its_own_by_its_default_name(name, expected):
    path = write_run(f"runs/{name}")
    (path / "config.py").write_text(CONFIG.replace("trained_from = 'quickstart'\n", ""))
    assert record_of(path).config == expected


def test_a_stock_detector_has_no_ratios_and_no_lambda():
    path = write_run("runs/mine")
    text = CONFIG.replace("ratios=['1:1', '1:9'], sampling='hard', ", "").replace("GradientAnnealingHook", "EMAHook")
    (path / "config.py").write_text(text)
    record = record_of(path)
    assert (record.ratios, record.sampling, record.lambda0, record.anneal) == ((), None, None, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CONFIG[: len(CONFIG) // 2], "config.py is damaged at line"),
        (CONFIG[: CONFIG.index("work_dir")], "config.py is not whole: it has no work_dir"),
        ("", "config.py is not whole: it has no model"),
        ("model = \0", "config.py"),
        (b"model = '\xff'", "config.py cannot be read"),
    ],
)
def test_half_a_config_is_told_of_beside_what_the_log_tells(text, problem):
    path = write_run("runs/mine", [0.1])
    (path / "config.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    record = record_of(path)
    assert len(record.problems) == 1
    assert problem in record.problems[0]
    assert (record.epoch, record.epochs, record.last.score, record.state) == (1, None, 0.1, None)


@pytest.mark.parametrize(
    ("log", "problem", "epoch", "score"),
    [
        ("", "metrics.jsonl is empty", None, None),
        ('{"loss": 1, "epoch": 1, "step": 1}\n{"loss": 1, "epo', "metrics.jsonl is damaged at line 2", 1, None),
        ('{"loss": 1, "ep\n{"loss": 1, "epoch": 2, "step": 1}\n', "metrics.jsonl is damaged at line 1", 2, None),
        ('{"coco/ensemble/AP": 0.5, "step"', "metrics.jsonl is damaged at line 1", None, None),
        ("null\n[]\n", "metrics.jsonl is damaged at line 1", None, None),
        ('{"coco/ensemble/AP": 0.5, "step": 1}\n\0\0\0', "metrics.jsonl is damaged at line 2", None, 0.5),
        ('{"loss": 1, "epoch": "x", "step": []}\n[', "metrics.jsonl is damaged at line 2", None, None),
        (
            '{"coco/ensemble/AP": {}, "coco/1to9/AP": 0.5, "step": 1}\n[',
            "metrics.jsonl is damaged at line 2",
            None,
            0.5,
        ),
        ('{"coco/ensemble/AP": ' * 100_000 + "}\n[", "metrics.jsonl is damaged at line 2", None, None),
    ],
)
def test_a_damaged_log_is_told_of_beside_what_it_still_tells(log, problem, epoch, score):
    path = write_run("runs/mine")
    (path / "metrics.jsonl").write_text(log)
    record = record_of(path)
    assert record.problems == (problem,)
    assert record.epoch == epoch
    assert (record.last and record.last.score) == score
    assert record.epochs == 4


def test_a_log_without_an_end_is_not_waited_for():
    path = write_run("runs/mine")
    (path / "metrics.jsonl").unlink(missing_ok=True)
    os.mkfifo(path / "metrics.jsonl")
    assert record_of(path).problems == ("metrics.jsonl is no file",)


def test_a_run_that_has_logged_nothing_is_not_damaged():
    path = write_run("runs/mine")
    (path / "metrics.jsonl").unlink()
    record = record_of(path)
    assert (record.problems, record.epoch, record.last, record.state) == ((), None, None, "interrupted")


def test_a_config_that_takes_running_is_read_as_far_as_it_goes():
    path = write_run("runs/mine")
    text = CONFIG.replace("custom_hooks = [", "custom_hooks = [\n    *hooks, other(),").replace(
        "max_epochs=4", "max_epochs=2 * 2"
    )
    (path / "config.py").write_text(text)
    assert record_of(path).lambda0 == 5


def test_the_size_is_that_of_what_a_run_leaves(folder):
    path = write_run("runs/mine", [0.1])
    before = record_of(path).size
    assert before == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    (folder / "elsewhere").write_bytes(b"x" * 10_000)
    (path / "checkpoints/link.pth").symlink_to(folder / "elsewhere")
    (path / "mine.txt").write_bytes(b"x" * 10_000)
    assert before <= record_of(path).size < before + 1000


def test_what_is_gone_meanwhile_has_no_size(folder, monkeypatch):
    path = write_run("runs/mine", [0.1])
    lstat = os.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: lstat(self / "gone"))
    assert size_of(path) == 0


def test_ap_on_bins_is_told_apart_and_by_their_labels():
    bins = parse_bins("1-3,5,8+")
    values = {f"coco/1to9/{gt_bin.metric}": 0.1 * gt_bin.low for gt_bin in bins}
    found = validation_of({"coco/1to9/AP": 0.5, **values, "time": 0.1, "step": 8}, {"epoch": 2})
    assert (found.epoch, found.iteration, found.heads) == (2, 8, {"1:9": {"AP": 0.5}})
    assert found.bins == {"1:9": {"1-3": 0.1, "5": 0.5, "8+": 0.8}}
