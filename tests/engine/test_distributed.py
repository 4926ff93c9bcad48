"""Two processes as one job, on gloo. What they do is in `as_one_of_two`, run once for all tests."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from mmdet.models.task_modules import RandomSampler
from mmengine.config import Config
from mmengine.dist import get_rank

from rgacli.engine.averaging import set_ema
from rgacli.engine.distributed import first_report, highest, join, leave, of_rank_0, set_sync_bn, together
from rgacli.errors import DataError, RunFailed, UsageError
from rgacli.launch import Job, launch
from tests.support import tiny
from tests.support.processes import ROOT
from tests.support.running import At, logged, run, saved

STEPS = 3


def draw_the_first(sampler, gallery, number):
    """In place of a random choice, which differs from rank to rank."""
    return gallery[:number]


def train_in_parts(dataset, folder, batch_size, accumulation=1, **settings):
    """3 optimizer steps over the same 4 images, however they are divided among processes and iterations.

    What has to be fixed for the steps to be the same: which candidates the samplers draw; batch statistics, which are
    of a process's own images; the learning rate, whose schedules count iterations. Augmentation is the image's own
    in any case, and each image fills its number of RoIs, so that the mean over a batch is the mean over its parts.
    """
    cfg = tiny.training_config(
        dataset,
        folder,
        **{
            "train_dataloader.batch_size": batch_size,
            "optim_wrapper.accumulative_counts": accumulation,
            "model.backbone.norm_eval": True,
            **settings,
        },
    )
    cfg.param_scheduler = []
    run(cfg, folder)


def train_until_no_better(dataset, folder, batch_size):
    """The same, validated each time, averaged, its best kept, and stopped: nothing is found in so few steps."""
    cfg = Config(dict(custom_hooks=[dict(type="PatienceHook", monitor="coco/ensemble/AP", patience=1)]))
    set_ema(cfg, 0.3)
    validated = {"train_cfg": dict(max_epochs=3, val_interval=1), "custom_hooks": cfg.custom_hooks}
    best = {"default_hooks.checkpoint.save_best": "coco/ensemble/AP", "model.test_cfg.rcnn.score_thr": 1.0}
    train_in_parts(dataset, folder, batch_size, **validated, **best)


def validate_as_one_of_two(dataset, folder):
    """The program of each process."""
    join("pytorch")
    RandomSampler.random_choice = draw_the_first
    train_until_no_better(dataset, folder, 2)
    leave()


def as_one_of_two(dataset, folder):
    """The program of each process; leaves what it found out in <folder>/<rank>.json."""
    join("pytorch")
    rank, found = get_rank(), {}
    RandomSampler.random_choice = draw_the_first
    for batch_size, accumulation in ((2, 1), (1, 2)):
        train_in_parts(dataset, folder / f"{batch_size}x{accumulation}", batch_size, accumulation)
    found["highest"] = highest(10 - rank), highest(rank)
    found["of_rank_0"] = of_rank_0(f"rank {rank}")
    found["reports"] = first_report(None), first_report("seen" if rank == 1 else None), first_report("seen")
    found["earliest"] = first_report("seen", time=10 - rank)
    for name, failing_ranks in (("one", [1]), ("all", [0, 1])):
        try:
            with together():
                if rank in failing_ranks:
                    raise DataError("it fails")
        except UsageError as error:
            found[name] = [type(error).__name__, str(error), error.shared]

    def spoil(runner):
        if rank == 1:
            runner.model.module.roi_head.bbox_head[1].fc_cls.bias.data.fill_(float("nan"))

    try:
        run(tiny.training_config(dataset, folder / "spoilt"), folder / "spoilt", At(2, spoil, before=True))
    except RunFailed as error:
        found["not finite"] = [str(error), error.shared]
    leave()
    found["threads"] = [thread.read_text().strip() for thread in Path("/proc/self/task").glob("*/comm")]
    (folder / f"{rank}.json").write_text(json.dumps(found))


def launch_two(program, dataset, folder):
    code = (
        f"import sys; from pathlib import Path; from tests.engine.test_distributed import {program.__name__}; "
        f"{program.__name__}(*map(Path, sys.argv[1:]))"
    )
    environment = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    launch([sys.executable, "-c", code, str(dataset), str(folder)], Job(2), environment)


@pytest.fixture(scope="module")
def job(tiny_dataset, tmp_path_factory, worker_id):
    """Folder of what two processes left, and what each found out. pytest's own processes share it: it takes long."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "job-of-two"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            folder.mkdir()
            launch_two(as_one_of_two, tiny_dataset, folder)
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture
def alone(tiny_dataset, tmp_path, monkeypatch):
    """Folder of the same training by one process on the whole batch."""
    monkeypatch.setattr(RandomSampler, "random_choice", draw_the_first)
    train_in_parts(tiny_dataset, tmp_path, 4)
    return tmp_path


def test_two_processes_with_half_the_batch_each_train_as_one_with_the_whole(job, alone):
    folder, _ = job
    for line in logged(alone):
        for head in ("1to1", "1to9"):
            assert line[f"{head}.positives"] + line[f"{head}.negatives"] == 16  # as `train_in_parts` supposes
    for one, other in zip(logged(folder / "2x1"), logged(alone), strict=True):
        for key in ("positives", "negatives", "acc_pos", "acc_neg"):  # of all ranks, not of the one that writes
            assert one[f"1to9.{key}"] == pytest.approx(other[f"1to9.{key}"], abs=1e-3), key
    expected = saved(alone)
    moved = saved(alone, "epoch_1.pth")["state_dict"]
    for parts in ("2x1", "1x2"):
        found = saved(folder / parts)
        for name, value in expected["state_dict"].items():
            torch.testing.assert_close(found["state_dict"][name], value, rtol=1e-4, atol=1e-6)
        assert any(not torch.allclose(moved[name], value, atol=1e-4) for name, value in found["state_dict"].items())


def test_lambda_counts_the_steps_of_the_job(job):
    folder, _ = job
    assert [line["lambda"] for line in logged(folder / "2x1")] == [7, 5, 3]
    assert [line["lambda"] for line in logged(folder / "1x2")] == [7, 7, 5, 5, 3, 3]


def test_one_process_writes_for_all(job):
    folder, _ = job
    assert [path.name for path in sorted((folder / "2x1/checkpoints").iterdir())] == [
        "epoch_1.pth",
        "epoch_2.pth",
        "epoch_3.pth",
    ]
    assert not list(ROOT.glob(".dist_test"))


@pytest.mark.slow
def test_two_processes_average_keep_the_best_and_stop_as_one(tiny_dataset, tmp_path, monkeypatch):
    launch_two(validate_as_one_of_two, tiny_dataset, tmp_path / "two")
    monkeypatch.setattr(RandomSampler, "random_choice", draw_the_first)
    train_until_no_better(tiny_dataset, tmp_path / "one", 4)
    two, one = ({path.name: path for path in (tmp_path / jobs / "checkpoints").iterdir()} for jobs in ("two", "one"))
    assert two.keys() == one.keys() == {"best.pth", "epoch_1.pth", "epoch_2.pth"}
    for name in one:
        found, expected = (torch.load(paths[name], weights_only=True) for paths in (two, one))
        for key, value in expected["state_dict"].items():
            torch.testing.assert_close(found["state_dict"][key], value, rtol=1e-4, atol=1e-6)
    assert found["meta"]["epoch"] == expected["meta"]["epoch"]


def test_ranks_agree(job):
    for found in job[1]:
        assert found["highest"] == [10, 1]
        assert found["of_rank_0"] == "rank 0"
        assert found["reports"] == [None, "rank 1: seen", "rank 0: seen"]
        assert found["earliest"] == "rank 1: seen"


def test_what_fails_on_one_rank_fails_on_all_and_is_told_once(job):
    for found in job[1]:
        assert found["one"] == ["DataError", "rank 1: it fails", True]
        assert found["all"] == ["DataError", "it fails", True]


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_and_names_it(job):
    folder, ranks = job
    for found in ranks:
        message, shared = found["not finite"]
        assert message.startswith("rank 1: the loss is not finite at iteration 2 (loss nan, 1to9.loss_cls nan")
        assert "image ids" in message
        assert shared
    assert not list((folder / "spoilt/checkpoints").iterdir())


def test_who_leaves_keeps_no_thread_of_the_job(job):
    """Runs of this process are in reference cycles; a thread of theirs can abort the process where it ends."""
    for found in job[1]:
        assert not [name for name in found["threads"] if "gloo" in name]


def test_alone_there_is_nothing_to_agree_on():
    assert (highest(3), of_rank_0("x"), first_report(None), first_report("seen")) == (3, "x", None, "seen")
    error = DataError("it fails")
    with pytest.raises(DataError) as caught, together():
        raise error
    assert caught.value is error
    assert not error.shared


# --- joining


@pytest.mark.parametrize(
    ("launcher", "variables"),
    [
        ("slurm", dict(SLURM_PROCID="{rank}", SLURM_LOCALID="{rank}", SLURM_NTASKS="2", SLURM_NODELIST="localhost")),
        (
            "mpi",
            dict(OMPI_COMM_WORLD_RANK="{rank}", OMPI_COMM_WORLD_LOCAL_RANK="{rank}", OMPI_COMM_WORLD_SIZE="2"),
        ),
    ],
)
@pytest.mark.slow
def test_processes_of_other_launchers_join(launcher, variables):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    code = """
        import sys
        from mmengine.dist import get_rank
        from rgacli.engine.distributed import highest, join

        join(sys.argv[1])
        print(highest(get_rank()))
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), launcher],
            env={
                **{name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")},
                **{name: value.format(rank=rank) for name, value in variables.items()},
                **dict(MASTER_ADDR="localhost", MASTER_PORT=port, CUDA_VISIBLE_DEVICES=""),
            },
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for rank in (0, 1)
    ]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["1\n", "1\n"]


@pytest.fixture
def gpus(monkeypatch):
    """As if there were two."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("variable", ["LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"])
def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch, variable):
    monkeypatch.setenv("LOCAL_RANK", "")
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.setenv(variable, "2")
    with pytest.raises(UsageError, match="process 3 of this machine has no GPU; it has 2"):
        join("pytorch")


def test_batch_statistics_over_processes_need_gpus():
    with pytest.raises(UsageError, match="SyncBN needs a CUDA device"):
        set_sync_bn(Config())


@pytest.mark.usefixtures("gpus")
def test_batch_statistics_over_one_process_are_refused():
    with pytest.raises(UsageError, match="this job has one"):
        set_sync_bn(Config())
