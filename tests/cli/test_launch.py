"""Commands on several processes: really so, on the CPU."""

import json
import os
import shutil
import signal
import socket
import time

import pytest
import torch

from rgacli.config.catalogue import CONFIGS
from rgacli.config.files import load_config
from tests.cli.commands import EPOCHS, RUN, TINY, call, error_line, invoke, logged, start

PAIR = ("--gpus", 2, "--device", "cpu")
SECONDS = 120  # in which a job that fails has to end, on a busy machine


@pytest.fixture(scope="module")
def pair(tmp_path_factory, dataset):
    """A run of two processes with two images each: its working folder and what it printed."""
    root = tmp_path_factory.mktemp("pair")
    done = call(
        "train",
        "quickstart",
        "--data",
        dataset,
        "--epochs",
        EPOCHS,
        "--name",
        RUN,
        "--batch-size",
        2,
        *TINY,
        *PAIR,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    return root, done


# --- training


def test_one_process_speaks_and_writes_for_all(pair, trained):
    root, done = pair
    assert done.stdout.count("\n") == trained.output.stdout.count("\n")  # one table
    assert done.stdout.startswith(f"{RUN} in validation")
    assert [path.name for path in root.iterdir()] == ["runs"]
    assert {path.name for path in (root / "runs" / RUN).iterdir()} == {path.name for path in trained.run.iterdir()}
    lines, expected = (output.stderr.splitlines() for output in (done, trained.output))
    assert len(lines) == len(expected)
    assert lines[:2] == expected[:2]  # the learning rate, for 4 images a step; the run
    steps, _ = logged(root / "runs" / RUN)
    assert [step["iter"] for step in steps] == [step["iter"] for step in logged(trained.run)[0]]
    assert load_config(str(root / "runs" / RUN / "config.py")).processes == 2


def test_other_processes_go_on_with_the_batch_of_all(pair, folder):
    shutil.copytree(pair[0] / "runs", "runs")
    for epoch in (2, 3):
        (folder / "runs" / RUN / f"checkpoints/epoch_{epoch}.pth").unlink()
    result = invoke("train", "--resume", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "1 process of 4 images in place of 2 of 2" in result.stderr
    steps, before = (logged(root / "runs" / RUN)[0] for root in (folder, pair[0]))
    assert [(step["iter"], step["lambda"], step["lr"]) for step in steps] == [
        (step["iter"], step["lambda"], step["lr"]) for step in before
    ]


@pytest.mark.slow
def test_a_run_goes_on_in_several_processes_as_if_it_had_never_stopped(pair, folder):
    shutil.copytree(pair[0] / "runs", "runs")
    checkpoints = [root / "runs" / RUN / "checkpoints/epoch_3.pth" for root in (folder, pair[0])]
    checkpoints[0].unlink()
    done = call("train", "--resume", *PAIR, cwd=folder)
    assert done.returncode == 0, done.stderr
    found, expected = (torch.load(checkpoint, weights_only=True)["state_dict"] for checkpoint in checkpoints)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.slow
def test_machines_meet(folder, dataset):
    """Two machines of one process each, which are both this one."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    machines = [
        start(
            *("train", "quickstart", "--data", dataset, "--epochs", 1, "--batch-size", 2, *TINY, "--device", "cpu"),
            *("--nnodes", 2, "--node-rank", machine, "--rdzv-endpoint", f"localhost:{port}"),
            cwd=folder,
        )
        for machine in (1, 0)
    ]
    other, first = (process.communicate(timeout=SECONDS) for process in machines)
    assert [process.returncode for process in machines] == [0, 0], (other, first)
    assert other == ("", "")
    assert "done: " in first[1]
    (run,) = (folder / "runs").iterdir()
    assert load_config(str(run / "config.py")).processes == 2
    assert len(logged(run)[0]) == 2


# --- evaluation


@pytest.mark.slow
def test_two_processes_evaluate_as_one_does_each_image_once(folder, run, dataset):
    odd = shutil.copytree(dataset, folder / "odd")
    content = json.loads((odd / "annotations/test.json").read_text())
    kept = [image["id"] for image in content["images"][:3]]
    content["images"] = content["images"][:3]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] in kept]
    (odd / "annotations/test.json").write_text(json.dumps(content))
    cfg = load_config(str(run / "config.py"))
    cfg.test_dataloader.batch_size = 1  # sums of a batch are rounded otherwise than those of an image
    cfg.dump(run / "config.py")

    def evaluated(*options):
        arguments = ("eval", RUN, "--data", odd, "--head", "all", "--json", "--device", "cpu", *options)
        done = call(*arguments, cwd=folder) if options else invoke(*arguments)
        assert (done.returncode if options else done.exit_code) == 0, done.stderr
        assert not (folder / ".dist_test").exists()
        found = {path.stem: json.loads(path.read_text()) for path in (run / "detections/odd-test").glob("*.json")}
        del found["source"]
        shutil.rmtree(run / "detections")
        return json.loads(done.stdout), found

    alone, together = evaluated(), evaluated("--gpus", 2)
    assert together == alone
    for detections in together[1].values():
        assert {detection["image_id"] for detection in detections} == set(kept)


# --- ending


@pytest.fixture
def config_with(folder):
    """Writes a config that is the quickstart with a hook, of which the code after `def after_train_iter` is given."""

    def write(code):
        (folder / "mishap.py").write_text(
            "import os, signal\n"
            "from mmengine.hooks import Hook\n"
            "from mmengine.registry import HOOKS\n"
            "@HOOKS.register_module()\n"
            "class Mishap(Hook):\n"
            "    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):\n"
            f"        {code}\n"
        )
        (folder / "mishap_config.py").write_text(
            f"_base_ = {str(CONFIGS / 'quickstart.py')!r}\n"
            "custom_imports = dict(imports=['rgacli.core', 'mishap'], allow_failed_imports=False)\n"
            "custom_hooks = [dict(type='GradientAnnealingHook', lambda0=7.0), dict(type='Mishap')]\n"
        )
        return folder / "mishap_config.py"

    return write


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_job_with_one_message(folder, dataset, config_with):
    begun = time.monotonic()
    config = config_with("if runner.rank == 1 and runner.iter == 2: os.kill(os.getpid(), signal.SIGKILL)")
    done = call("train", config, "--data", dataset, "--name", "new", "--batch-size", 2, *TINY, *PAIR, cwd=folder)
    assert time.monotonic() - begun < SECONDS
    assert done.returncode == 1
    line = error_line(done.stderr)
    assert line.startswith("error: rank 1 was ended by SIGKILL (killed, perhaps for want of memory).")
    assert line.endswith("rgacli train --resume --name new --gpus 2 --device cpu")
    assert [path.name for path in (folder / "runs/new/checkpoints").iterdir()] == ["epoch_1.pth"]


@pytest.mark.slow
def test_a_signal_stops_all_processes_with_one_checkpoint(folder, dataset):
    arguments = ("--data", dataset, "--epochs", 50, "--name", "new", "--batch-size", 2, *TINY, *PAIR)
    with start("train", "quickstart", *arguments, cwd=folder, start_new_session=True) as process:
        metrics = folder / "runs/new/metrics.jsonl"
        while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") >= 3):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    last = logged(folder / "runs/new")[0][-1]["iter"]
    assert f"stopped by SIGINT after iteration {last}." in error_line(stderr)
    assert [path.name for path in (folder / "runs/new/checkpoints").glob("iter_*")] == [f"iter_{last}.pth"]


@pytest.mark.slow
def test_an_error_of_usage_is_told_once(folder, run, dataset):
    done = call("train", "quickstart", "--data", dataset, "--name", RUN, *TINY, *PAIR, cwd=folder)
    assert done.returncode == 2
    assert "runs/base exists: choose another --name" in error_line(done.stderr)
    assert "usage" not in done.stderr.lower()


# --- options that do not go together are refused before any process starts


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--gpus", 2, "--launcher", "slurm"], "--launcher slurm says that srun started the processes"),
        (["--nnodes", 2, "--device", "cpu"], "name where the machines meet by --rdzv-endpoint"),
        (["--nnodes", 2, "--rdzv-endpoint", "a"], "a is not of the form HOST:PORT"),
        (["--nnodes", 2, "--node-rank", 2, "--rdzv-endpoint", "a:1"], "of 2 machines, it can be 0 to 1"),
        (["--node-rank", 1], "give --nnodes"),
        (["--rdzv-endpoint", "a:1"], "give --nnodes"),
        (["--gpus", 2, "--device", "cpu", "--rdzv-endpoint", "a:1"], "give --nnodes"),
        (["--gpus", 2, "--device", "mps"], "--device mps is a single GPU"),
        (["--launcher", "pytorch"], "RANK is not set; start it by torchrun"),
        (["--launcher", "slurm"], "SLURM_PROCID is not set; start it by srun"),
        (["--launcher", "mpi"], "OMPI_COMM_WORLD_RANK is not set; start it by mpirun"),
    ],
)
@pytest.mark.parametrize("command", ["train", "eval"])
def test_contradictions_are_refused(folder, monkeypatch, command, options, complaint):
    for variable in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(variable, raising=False)
    result = invoke(command, *options)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("found", "said"), [(0, "no GPUs"), (1, "1 GPU ")])
def test_more_processes_than_gpus_are_refused(folder, monkeypatch, found, said):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert f"torch sees {said}" in error_line(invoke("train", "--gpus", 2).stderr)


@pytest.mark.parametrize("worker", [True, False])
def test_a_rank_stops_with_its_launcher(folder, monkeypatch, worker):
    stopping = []
    monkeypatch.setattr("rgacli.cli.launch.stop_with_parent", lambda: stopping.append(True))
    if worker:
        monkeypatch.setenv("RGACLI_WORKER", "1")
    assert invoke("train", "--resume").exit_code == 2  # there is no run
    assert stopping == [True] * worker
