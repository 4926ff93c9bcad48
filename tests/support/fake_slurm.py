"""A SLURM of this machine: sbatch, srun and sacct as far as submitit calls them.

What the variable FAKE_SLURM names is its folder: <id>.sh, the script of a job or array; <id>.states, a line for each
task that began or ended; <id>.done, once all have.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(folder: Path) -> dict[str, str]:
    """Put the commands into a folder; returns the variables by which a process finds them."""
    (folder / "bin").mkdir(parents=True)
    for name in ("sbatch", "srun", "sacct"):
        path = folder / "bin" / name
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
        path.write_text(
            f"#!{sys.executable}\n{start}\nfrom tests.support.fake_slurm import {name}\n{name}(sys.argv[1:])\n"
        )
        path.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


def home() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch(arguments: list[str]) -> None:
    """Take a script, and run it in the background."""
    number = len(list(home().glob("*.sh"))) + 1
    script = home() / f"{number}.sh"
    shutil.copy(arguments[0], script)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.support.fake_slurm import run; run({number})"
    with open(home() / f"{number}.log", "wb") as file:
        subprocess.Popen([sys.executable, "-c", code], stdout=file, stderr=file, start_new_session=True)
    print(f"Submitted batch job {number}")


def run(number: int) -> None:
    """Run a script's tasks: after those that it depends on, and as many at a time as it says."""
    text = (home() / f"{number}.sh").read_text()
    if found := re.search(r"#SBATCH --dependency=afterany:(\d+)", text):
        while not (home() / f"{found[1]}.done").exists():
            time.sleep(0.2)
    found = re.search(r"#SBATCH --array=0-(\d+)%(\d+)", text)
    waiting: list[int | None] = list(range(int(found[1]) + 1)) if found else [None]
    places, running = int(found[2]) if found else 1, {}
    while waiting or running:
        for task, process in list(running.items()):
            if process.poll() is not None:
                del running[task]
                note(number, task, "FAILED" if process.returncode else "COMPLETED")
        while waiting and len(running) < places:
            task = waiting.pop(0)
            note(number, task, "RUNNING")
            running[task] = subprocess.Popen(["bash", str(home() / f"{number}.sh")], env=environment(number, task))
        time.sleep(0.1)
    (home() / f"{number}.done").touch()


def environment(number: int, task: int | None) -> dict[str, str]:
    """The variables of a job, or of an array's task."""
    own = {"SLURM_JOB_ID": str(number), "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if task is not None:
        own |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
    return {**os.environ, **own}


def note(number: int, task: int | None, state: str) -> None:
    """Keep how a task is."""
    with (home() / f"{number}.states").open("a") as file:
        file.write(f"{number if task is None else f'{number}_{task}'} {state}\n")


def srun(arguments: list[str]) -> None:
    """Become the command, its output in the files that are named."""
    names = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID", "%t": "SLURM_PROCID"}
    for option, stream in (("--output", 1), ("--error", 2)):
        path = arguments[arguments.index(option) + 1]
        for mark, variable in names.items():
            path = path.replace(mark, os.environ.get(variable, ""))
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    command = list(itertools.dropwhile(lambda word: word.startswith("-"), arguments[arguments.index("--error") + 2 :]))
    os.execvp(command[0], command)


def sacct(arguments: list[str]) -> None:
    """Print the last state of each task of the jobs that are asked for."""
    print("JobID|State|NodeList")
    for option, number in itertools.pairwise(arguments):
        if option == "-j" and (path := home() / f"{number}.states").exists():
            last = dict(line.split() for line in path.read_text().splitlines())
            for task, state in last.items():
                print(f"{task}|{state}|here")
