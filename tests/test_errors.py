import errno
import pickle
import urllib.error

import pytest
import torch

from rgacli.errors import DataError, RgacliError, RunFailed, Unforeseen, UsageError, explain

FROM_A_WORKER = (
    "Caught AssertionError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    '  File "loading.py", line 110, in transform\nAssertionError: failed to load image: cats/7.jpg\n'
)

CASES = {
    "GPU memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "lower batch_size"),
    "CPU memory": (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
    "Python's memory": (MemoryError(), "out of memory"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device", "runs/a/x.pth"), "full while writing runs/a/x.pth"),
    "full quota": (OSError(errno.EDQUOT, "Disk quota exceeded", "a.pth"), "disk quota is used up while writing a.pth;"),
    "limit of sizes": (OSError(errno.EFBIG, "File too large", "a.pth"), "(ulimit -f) while writing a.pth;"),
    "full disk, said by torch": (RuntimeError("[enforce fail] write: No space left on device"), "the disk is full"),
    "full disk, met by torch": (
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1088 vs 982"),
        "the disk is full",
    ),
    "read-only disk": (OSError(errno.EROFS, "Read-only file system", "/mnt/runs"), "no permission for /mnt/runs"),
    "no permission": (PermissionError(errno.EACCES, "Permission denied", "/etc/runs"), "no permission for /etc/runs"),
    "image": (AssertionError("failed to load image: a.jpg"), "failed to load image: a.jpg (rgacli.check_dataset"),
    "image, an empty file": (
        ValueError(
            "OpenCV(5.0.0) loadsave.cpp:1291: error: (-215:Assertion failed) !buf.empty() in function 'imdecode_'"
        ),
        "its file is empty (rgacli.check_dataset",
    ),
    "image, in a worker": (AssertionError(FROM_A_WORKER), "failed to load image: cats/7.jpg (rgacli.check_dataset"),
    "file": (
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a.jpg"),
        "No such file or directory: 'a.jpg' (rgacli.check_dataset",
    ),
    "folder": (FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/x"), "directory: '/proc/x'."),
    "worker": (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "a data-loading process died"),
    "download": (urllib.error.URLError("no route to host"), "a download failed"),
    "another process, on a CPU": (
        RuntimeError("[gloo/transport/tcp/pair.cc:538] Read error [127.0.0.1]:1: Connection reset by peer"),
        "the connection to the other processes of the job was lost ([gloo",
    ),
    "another process, on a GPU": (
        torch.distributed.DistBackendError("NCCL communicator was aborted on rank 0."),
        "the connection to the other processes of the job was lost (NCCL",
    ),
    "a parameter without gradient": (
        RuntimeError("Expected to have finished reduction in the prior iteration before starting a new one."),
        "set find_unused_parameters = True",
    ),
    "a key of a config, lost": (
        AttributeError("'ConfigDict' object has no attribute 'max_per_img'"),
        "the config lacks `max_per_img`, which mmdet reads: let it inherit one that has it",
    ),
    "anything else": (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    "an error without words": (ValueError(), "ValueError: "),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failure_is_told_in_one_line_and_exits_with_one(case):
    error, words = CASES[case]
    told = explain(error)
    assert isinstance(told, RunFailed)
    assert words in str(told)
    assert "\n" not in str(told)
    assert told.exit_code == 1


def test_only_what_nobody_expected_is_unforeseen():
    unforeseen = {case for case, (error, _) in CASES.items() if isinstance(explain(error), Unforeseen)}
    assert unforeseen == {"anything else", "an error without words"}


@pytest.mark.parametrize("kind", [FileExistsError, NotADirectoryError, IsADirectoryError])
def test_a_path_in_the_way_is_the_users_to_move(kind):
    told = explain(kind(0, "File exists", "figures"))
    assert isinstance(told, UsageError)
    assert str(told).startswith("figures is in the way (File exists)")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENAMETOOLONG, "File name too long", f"runs/{'a' * 300}"),
            f"a name in runs/{'a' * 35}…{'a' * 20} ",
        ),
        (ValueError("embedded null byte"), "holds a null character"),
    ],
)
def test_a_name_that_no_file_can_have_is_the_users_to_change(error, words):
    told = explain(error)
    assert type(told) is UsageError
    assert words in str(told)


def test_a_link_to_itself_is_the_users_to_mend():
    for error in (RuntimeError("Symlink loop from 'a'"), OSError(errno.ELOOP, "Too many levels of links", "a")):
        told = explain(error)
        assert isinstance(told, UsageError)
        assert str(told).startswith("a link leads to itself (")
        assert "'a'" in str(told)


@pytest.mark.parametrize("library", ["libGL.so.1", "libgthread-2.0.so.0"])
def test_a_missing_desktop_library_comes_with_the_command_that_mends_it(library):
    told = explain(ImportError(f"{library}: cannot open shared object file: No such file or directory"))
    assert told.exit_code == 2
    assert "opencv-python-headless" in str(told)


@pytest.mark.parametrize("kind", [RgacliError, UsageError, DataError, RunFailed])
def test_our_own_errors_are_left_as_they_are(kind):
    error = kind("one line")
    assert explain(error) is error


def test_usage_and_data_exit_with_two_and_failed_runs_with_one():
    assert {kind: kind.exit_code for kind in (UsageError, DataError, RunFailed)} == {
        UsageError: 2,
        DataError: 2,
        RunFailed: 1,
    }


def test_our_errors_cross_process_borders():
    error = pickle.loads(pickle.dumps(DataError("cats.json: no objects", shared=True)))
    assert (type(error), str(error), error.shared) == (DataError, "cats.json: no objects", True)


def test_a_data_loading_process_that_died_is_told_whatever_it_interrupted():
    """torch raises it where a training happens to be, mmengine's formatting of a config for a checkpoint included."""
    interrupted = SyntaxError("Failed to format the config file\nwork_dir='runs/a/logs'")
    interrupted.__context__ = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert "a data-loading process died" in str(explain(interrupted))
