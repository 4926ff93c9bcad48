"""Real sweeps, with what comes between: signals, failures, machines that die."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import fake_slurm
from tests.support.once import once
from tests.support.processes import ROOT
from tests.support.sweeping import log, results, start, state, trainable, wait_for, workers

pytestmark = pytest.mark.slow

EPOCHS = 20  # so many that there is a midst to be stopped in
OPTIONS = ("mine.yaml", "--out", "out", "--device", "cpu")


def sweep(folder, dataset, **content):
    """A folder with the sweep's file; returns the sweep's own."""
    folder.mkdir(exist_ok=True)
    trainable(folder / "mine.yaml", dataset, **content)
    return folder / "out"


def finish(folder, *options, code=0, **environment):
    """Runs the sweep in a folder to its end. Returns what it said."""
    process = start(*OPTIONS, *options, cwd=folder, **environment)
    assert process.wait(timeout=500) == code, (folder / "output").read_text()
    assert workers(folder) == []
    return (folder / "output").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_dataset):
    """The folder of a sweep that nothing came between."""

    def run(folder):
        sweep(folder, tiny_dataset, train={"epochs": EPOCHS})
        finish(folder, "--jobs", "1")

    return once(tmp_path_factory, "whole-sweep", run)[0] / "out"


def numbers(folder):
    return {path: found for path, (_, found) in results(folder).items()}


def in_the_midst(out, job):
    """Whether a training has saved some epochs, of which a run keeps the last three."""
    return len(list((out / "runs" / job / "checkpoints").glob("epoch_*.pth"))) >= 2


def test_a_killed_sweep_goes_on_and_finds_the_same_numbers(whole, tmp_path, tiny_dataset):
    out = sweep(tmp_path, tiny_dataset, train={"epochs": EPOCHS})
    process = start(*OPTIONS, "--jobs", "1", cwd=tmp_path)
    wait_for(lambda: in_the_midst(out, "prm-s0"), "the second training")
    process.kill()
    process.wait()
    wait_for(lambda: not workers(out), "the jobs to stop with their sweep", 60)
    assert state(out, "prm-s0")["state"] == "stopped"
    before = results(out)
    assert {path.parent.name for path in before} == {"plain-s0"}
    finish(tmp_path, "--jobs", "1")
    after = results(out)
    assert {path: after[path] for path in before} == before  # times as well
    assert numbers(out) == numbers(whole)
    assert log(out, "prm-s0").count(", from ") == 1
    assert "checkpoints/iter_" in log(out, "prm-s0").partition(", from ")[2]
    losses = [
        [line["loss"] for line in map(json.loads, (each / "runs/prm-s0/metrics.jsonl").open()) if "loss" in line]
        for each in (out, whole)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == EPOCHS


def test_ctrl_c_leaves_checkpoints_and_says_so(tmp_path, tiny_dataset):
    out = sweep(tmp_path, tiny_dataset, train={"epochs": 500})
    process = start(*OPTIONS, "--jobs", "2", cwd=tmp_path)
    wait_for(lambda: all(in_the_midst(out, job) for job in ("plain-s0", "prm-s0")), "both trainings")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert workers(out) == []
    for job in ("plain-s0", "prm-s0"):
        assert state(out, job)["state"] == "stopped"
        assert "stopped by SIGTERM after iteration" in state(out, job)["error"]
        assert list((out / "runs" / job / "checkpoints").glob("iter_*.pth"))
    assert "error: stopped; the same call goes on with the jobs in out." in (tmp_path / "output").read_text()
    # Again, while the jobs are still importing.
    process = start(*OPTIONS, "--jobs", "2", cwd=tmp_path)
    wait_for(lambda: len(workers(out)) == 2, "the jobs to begin")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert workers(out) == []


def test_a_failed_job_is_listed_and_tried_again_alone(tmp_path, tiny_dataset):
    bad = {"ratios": "1:1", "settings": ["model.neck.type=NoSuchNeck"]}
    arms = {"bad": bad, "good": {"lambda0": 1, "ratios": "1:3"}}
    out = sweep(tmp_path, tiny_dataset, arms=arms, combined={"both": ["good", "bad"]})
    said = " ".join(finish(tmp_path, "--jobs", "2", code=1).split())
    assert "3 jobs: " in said
    assert "both-s0 failed: it needs bad-s0, which is not finished. (log: out/jobs/both-s0/log.txt)" in said
    assert "NoSuchNeck" in said.partition("bad-s0 failed: ")[2]
    assert state(out, "good-s0")["state"] == "finished"
    before = results(out)
    assert {path.parent.name for path in before} == {"good-s0"}
    said = finish(tmp_path, code=1).rpartition("jobs to run")[0]
    assert said.endswith("2 of 3 ")
    assert results(out) == before
    assert not (tmp_path / "ensembles").exists()


def test_a_training_that_had_ended_before_it_was_noted_is_not_repeated(whole, tmp_path):
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    for path in (out / "jobs/prm-s0").glob("*.json"):
        path.unlink()
    weights = {path: path.stat().st_mtime_ns for path in (out / "runs/prm-s0/checkpoints").iterdir()}
    job = [sys.executable, "-m", "rgacli.api.job", out, "prm-s0", "1"]
    subprocess.run(job, check=True, cwd=tmp_path, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, timeout=300)
    assert numbers(out) == numbers(whole)
    assert {path: path.stat().st_mtime_ns for path in weights} == weights


def test_a_job_of_several_processes_stops_with_its_first_and_goes_on(tmp_path, tiny_dataset):
    out = sweep(tmp_path, tiny_dataset, train={"epochs": EPOCHS}, arms={"prm": {"ratios": "1:1,1:9"}})
    _write_manifest(tmp_path)
    job = [sys.executable, "-m", "rgacli.api.job", out, "prm-s0", "2"]
    options = dict(cwd=tmp_path, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    process = subprocess.Popen(job, **options)
    wait_for(lambda: in_the_midst(out, "prm-s0"), "the training")
    assert len(workers(out)) >= 3
    process.kill()
    process.wait()
    wait_for(lambda: not workers(out), "its processes to stop", 60)
    subprocess.run(job, **options, check=True, timeout=400)
    assert state(out, "prm-s0")["state"] == "finished"
    assert {path.name for path in results(out)} == {"train.json", "evaluate.json"}
    assert "processes = 2" in (out / "runs/prm-s0/config.py").read_text()


def _write_manifest(folder):
    """Writes a sweep's manifest, and runs nothing."""
    code = """
from pathlib import Path
from rgacli.reproduction.folder import SweepFolder
from rgacli.reproduction.jobs import plan
from rgacli.reproduction.reading import read_sweep
sweep, common = read_sweep(Path("mine.yaml"))
SweepFolder(Path("out")).write_manifest(plan(sweep, sweep.tables, seeds=[0], common=common, device="cpu"), {})
"""
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def test_slurms_arrays_finish_a_sweep_and_two_calls_do_nothing_twice(tmp_path, tiny_dataset):
    """The sweep is called again while the first call's arrays go on without it."""
    pytest.importorskip("submitit")
    slurm = fake_slurm.install(tmp_path / "slurm")
    out = sweep(tmp_path, tiny_dataset, train={"epochs": 10}, combined={"both": ["plain", "prm"]})
    options = ("--executor", "slurm", "--jobs", "2", "--slurm", "partition=cpu", "--slurm", "time=30")
    process = start(*OPTIONS, *options, cwd=tmp_path, **slurm)
    wait_for(lambda: state(out, "plain-s0").get("step") == "train", "the first job")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert state(out, "plain-s0")["state"] == "running"
    process = start(*OPTIONS, *options, cwd=tmp_path, **slurm)
    assert process.wait(timeout=500) == 0, (tmp_path / "output").read_text()
    wait_for(lambda: not workers(out), "SLURM's tasks", 120)
    for job in ("plain-s0", "prm-s0"):
        assert log(out, job).count("done: ") == 1  # trained once
    assert (out / "figures/both-s0/ensembles.png").is_file()
    first, second = ((tmp_path / f"slurm/{number}.sh").read_text() for number in (1, 2))
    assert {"#SBATCH --partition=cpu", "#SBATCH --time=30", "#SBATCH --array=0-1%2"} <= set(first.splitlines())
    assert "#SBATCH --dependency=afterany:1" in second.splitlines()


@pytest.fixture
def cluster(tmp_path):
    """A Ray cluster of two machines of one processor: its address, and the second one's raylet."""
    pytest.importorskip("ray")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.support.ray_cluster"]
    with (
        open(tmp_path / "cluster", "w") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, cwd=ROOT, env=environment
        ) as process,
    ):

        def begun():
            assert process.poll() is None, (tmp_path / "cluster").read_text()
            return [line.split()[1:] for line in (tmp_path / "cluster").open() if line.startswith("cluster ")]

        ((address, raylet),) = wait_for(begun, "the cluster")
        yield address, int(raylet)
        process.communicate(timeout=120)


def test_a_ray_cluster_finishes_a_sweep_when_a_machine_of_it_dies(cluster, tmp_path, tiny_dataset):
    address, raylet = cluster
    out = sweep(tmp_path / "sweep", tiny_dataset, train={"epochs": EPOCHS}, seeds=2)
    process = start(*OPTIONS, "--executor", "ray", "--address", address, cwd=tmp_path / "sweep")

    def training_there():
        assert process.poll() is None, (tmp_path / "sweep/output").read_text()
        for job in ("plain-s0", "prm-s0", "plain-s1", "prm-s1"):
            noted = state(out, job)
            if noted.get("state") == "running" and in_the_midst(out, job) and raylet in ancestors(noted["pid"]):
                return job
        return None

    job = wait_for(training_there, "a training on the second machine")
    for number in (raylet, *descendants(raylet)):  # with a machine, all that runs on it dies
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    assert process.wait(timeout=500) == 0, (tmp_path / "sweep/output").read_text()
    assert {path.parent.name for path in results(out)} == {"plain-s0", "prm-s0", "plain-s1", "prm-s1"}
    assert log(out, job).count(", from ") == 1  # it went on elsewhere


def descendants(process):
    """The processes that descend from a process."""
    every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [number for number in every if process in ancestors(number)]


def ancestors(process):
    """The processes that a process descends from."""
    found = []
    while process > 1:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            break
        process = int(status.partition("PPid:")[2].split()[0])
        found.append(process)
    return found
