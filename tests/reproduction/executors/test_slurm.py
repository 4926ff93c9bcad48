import subprocess
import sys
from types import SimpleNamespace

import pytest
from submitit.core.utils import FailedSubmissionError

from rgacli.errors import RunFailed
from rgacli.reproduction.executors.slurm import SlurmExecutor
from rgacli.reproduction.executors.task import Resources, Task

# In a process of its own: the package sets its logging up when it is first imported.
LOGGING = """
import logging, sys
from rgacli.reproduction.executors.slurm import SlurmExecutor
from rgacli.reproduction.executors.task import Resources
handler = logging.FileHandler(sys.argv[1])
logging.getLogger("another").addHandler(handler)
SlurmExecutor.of(sys.argv[1] + ".folder", Resources(), ["partition=gpu"], None)
import submitit
logging.getLogger("submitit").warning("nothing for stdout")
handler.stream.write("open")
handler.flush()
"""


def test_log_files_of_others_stay_open_and_stdout_is_ours(tmp_path):
    command = [sys.executable, "-c", LOGGING, str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert (tmp_path / "log").read_text() == "open"


def test_what_waits_for_others_is_an_array_of_its_own(tmp_path):
    tasks = [Task(name, ("run", name), after, tmp_path / name) for name, after in (("a", ()), ("b", ()), ("c", ("a",)))]
    executor = SlurmExecutor.of(tmp_path / "slurm", Resources(2), {"slurm_partition": "gpu"}, 1)
    first, second = executor.scripts(tasks)
    assert "#SBATCH --array=0-1%1\n" in first
    assert "#SBATCH --partition=gpu\n" in first
    assert "#SBATCH --gpus-per-node=2\n" in first
    assert "--dependency" not in first
    assert "# 1: run b" in first
    assert "#SBATCH --dependency=afterany:" in second
    assert "# 0: run c" in second
    assert "--array=0-0" in second or "--array" not in second


@pytest.mark.parametrize(
    ("resources", "given", "cpus"),
    [
        (Resources(8), {}, 32),
        (Resources(), {}, 4),
        (Resources(threads=6), {}, 6),
        (Resources(2), {"cpus_per_task": 3}, 3),
    ],
)
def test_a_task_has_processors_for_each_of_its_gpus_and_srun_is_told(tmp_path, resources, given, cpus):
    (script,) = SlurmExecutor.of(tmp_path / "slurm", resources, given, None).scripts(
        [Task("a", ("run",), (), tmp_path / "a")]
    )
    assert f"#SBATCH --cpus-per-task={cpus}\n" in script
    (line,) = (line for line in script.splitlines() if line.startswith("srun "))
    assert f" -c{cpus} " in line


@pytest.mark.parametrize(
    ("arrays", "ending", "left"),
    [
        ((7, 8), KeyboardInterrupt, "7 8"),
        ((7, KeyboardInterrupt()), KeyboardInterrupt, "7"),
        ((7, FailedSubmissionError("full")), RunFailed, "7"),
    ],
    ids=["all in it", "while another is handed over", "refused"],
)
def test_what_is_stopped_says_what_stays_in_the_queue(tmp_path, monkeypatch, caplog, arrays, ending, left):
    """Arrays of two jobs and of one that waits for them; one job is done before Ctrl-C comes to the watch."""
    numbers = iter(arrays)

    class Fake:
        def __init__(self, folder):
            pass

        def update_parameters(self, **own):
            pass

        def map_array(self, function, wave):
            array = next(numbers)
            if isinstance(array, BaseException):
                raise array
            return [job(f"{array}_{task}", is_done=len(wave) == 2 and task == 0) for task in range(len(wave))]

    def job(job_id, is_done):
        return SimpleNamespace(job_id=job_id, done=lambda: is_done, exception=lambda: None, result=lambda: "")

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("submitit.SlurmExecutor", Fake)
    tasks = [Task(name, ("run",), after, tmp_path / name) for name, after in (("a", ()), ("b", ()), ("c", ("a",)))]
    with caplog.at_level("INFO", "rgacli"), pytest.raises(ending):
        SlurmExecutor(tmp_path / "slurm").run(tasks, interrupt)
    assert caplog.messages == [f"2 jobs stay in SLURM's queue, and go on: `scancel {left}` ends them"]
