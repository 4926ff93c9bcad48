"""Sweeps whose jobs train nothing: an executor that makes up what they find."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from rgacli.reproduction.folder import State, SweepFolder
from rgacli.reproduction.jobs import plan, run_folder
from rgacli.reproduction.reading import sweep_of
from tests.cli.commands import _IN_PROCESS, _SIZES

SWEEP = {
    "title": "two arms",
    "seeds": 2,
    "train": {"config": "quickstart", "epochs": 1},
    "arms": {
        "plain": {"lambda0": 1, "ratios": "1:3"},
        "prm": {"ratios": "1:1,1:9", "settings": ["train_cfg.val_begin=1", "model.backbone.out_indices=[0,1,2,3]"]},
    },
    "combined": {"both": ["plain", "prm"]},
    "tables": {
        "main": {
            "rows": [{"row": "plain", "arm": "plain", "paper": {"AP": 36.1}}, {"row": "PRM", "arm": "prm"}],
            "claims": [{"claim": "PRM is better", "quantity": "prm/AP - plain/AP", "paper": 1.2}],
        },
        "pair": {"rows": [{"row": "both", "arm": "both"}]},
    },
}
"""Six jobs: two arms and their combination, of two seeds."""
AP = {"plain": 30.0, "prm": 32.0, "both": 33.0}
TRAINED = ["plain-s0", "prm-s0", "plain-s1", "prm-s1"]
JOBS = ["plain-s0", "prm-s0", "both-s0", "plain-s1", "prm-s1", "both-s1"]


def write_sweep(path: Path, **other) -> Path:
    """The sweep as a file, with other content where that is given."""
    path.write_text(yaml.safe_dump({**SWEEP, **other}, sort_keys=False))
    return path


def jobs(**other):
    """Its jobs, as they are run on a CPU."""
    sweep, common = sweep_of({**SWEEP, **other}, "mine")
    return plan(sweep, sweep.tables, seeds=sweep.seeds, common=common, device="cpu")


def finish(folder: SweepFolder, job) -> None:
    """Have a job done: each step has found its arm's AP, and a tenth more for each seed; its run has a checkpoint."""
    if job.trains:
        checkpoint = run_folder(folder.path, job.name) / "checkpoints" / "epoch_1.pth"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.touch()
    for step in job.steps:
        found = {} if step.function == "train" else {"AP": AP[job.arm] + job.seed / 10, "AP50": 50.0, "AP75": 25.0}
        folder.write_result(job.name, step, found)
    folder.write_state(job.name, State("finished", began=1.0, ended=2.0))


class Fake:
    """An executor that finishes jobs at once.

    Args:
        folder: The sweep's.
        failing: Jobs that note that they failed.
        dying: Jobs that note nothing; how their processes ended.
        stopping: The job in whose midst Ctrl-C comes.
    """

    def __init__(self, folder: Path, failing=(), dying: Mapping[str, str] | None = None, stopping: str = "") -> None:
        self.folder, self.failing, self.dying, self.stopping = SweepFolder(folder), failing, dying or {}, stopping
        self.ran: list[str] = []

    def run(self, tasks, watch: Callable[[], None]) -> dict[str, str]:
        """Take the tasks in their order."""
        found = {job.name: job for job in self.folder.read_jobs()}
        for task in tasks:
            self.ran.append(task.name)
            if task.name == self.stopping:
                self.folder.write_state(task.name, State("running", "train"))
                raise KeyboardInterrupt
            lacking = [name for name in found[task.name].after if not self.folder.is_finished(found[name])]
            if task.name in self.failing or lacking:
                why = f"it needs {lacking[0]}, which is not finished." if lacking else "the loss is not finite."
                self.folder.write_state(task.name, State("failed", "train", error=why))
            elif task.name not in self.dying:
                finish(self.folder, found[task.name])
            watch()
        return dict(self.dying)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 240):
    """What a condition yields, once that is true; fails if that takes too long."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


def workers(folder: Path) -> list[int]:
    """Processes, of this machine, whose command names a sweep's folder; zombies left out."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_bytes()
                running = "State:\tZ" not in (process / "status").read_text()
            except OSError:
                continue
            if running and str(folder).encode() in command:
                found.append(int(process.name))
    return found


def start(*arguments, cwd: Path, **environment: str) -> subprocess.Popen:
    """`rgacli reproduce ARGUMENTS` in a process of its own; what it says goes into `output` in its folder."""
    with (cwd / "output").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "rgacli", "reproduce", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80", **environment},
            stdout=output,
            stderr=output,
            preexec_fn=_take_ctrl_c,
        )


def _take_ctrl_c() -> None:
    """Undo what a shell does to what it runs in the background, and that to all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def trainable(path: Path, dataset: Path, **other) -> Path:
    """A sweep of two arms whose trainings take seconds, by one seed, as a file."""
    sizes = [f"{key}={value}" for key, value in {**_SIZES, **_IN_PROCESS}.items()]
    content = {
        "seeds": 1,
        "train": {"config": "quickstart", "data": str(dataset), "epochs": 1, "settings": sizes},
        "arms": {"plain": {"lambda0": 1, "ratios": "1:3"}, "prm": {"ratios": "1:1,1:9"}},
    }
    other["train"] = {**content["train"], **other.get("train", {})}
    path.write_text(yaml.safe_dump({**content, **other}, sort_keys=False))
    return path


def state(folder: Path, job: str) -> dict:
    """What a job has noted of itself; nothing before it has."""
    try:
        return json.loads((folder / "jobs" / job / "state.json").read_text())
    except FileNotFoundError:
        return {}


def results(folder: Path) -> dict[Path, tuple[int, dict]]:
    """What the steps of all jobs have found: file, relative to the folder -> its time, the numbers."""
    files = [path for path in folder.glob("jobs/*/*.json") if path.name != "state.json"]
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, json.loads(path.read_text())["numbers"]) for path in files
    }


def numbers(folder: Path) -> dict[Path, dict]:
    """The same without times."""
    return {path: found for path, (_, found) in results(folder).items()}


def log(folder: Path, job: str) -> str:
    """What a job said."""
    return (folder / "jobs" / job / "log.txt").read_text()
