import subprocess
import sys

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
