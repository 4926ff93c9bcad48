"""The errors that a user is meant to read: one line each, with the exit code they end in."""

from __future__ import annotations

import errno
import re
import urllib.error
from collections.abc import Iterator

from rgacli.wording import function, param, spelled


class RgacliError(Exception):
    """Base of every error shown as one line. `exit_code` is what the process ends with.

    Args:
        message: The line. It names parameters and functions by `rgacli.wording`: as text they are spelled for Python.
        shared: Whether every process of a job raises it, so that one of them tells it.

    Attributes:
        message: The line as it was given, for another speller.
    """

    exit_code = 1

    def __init__(self, message: str, *, shared: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.shared = shared

    def __str__(self) -> str:
        return spelled(self.message)


class UsageError(RgacliError):
    """A parameter, a config, a dataset, a checkpoint or a run that cannot be used (exit code 2)."""

    exit_code = 2


class DataError(UsageError):
    """Data whose content is wrong: annotations, images, result files (exit code 2)."""


class RunFailed(RgacliError):
    """Work that started well and then failed: out of memory, disk full, loss not finite (exit code 1)."""


def gone(path: object, *, shared: bool = False) -> RunFailed:
    """Return the error of a training whose folder, or a part of it, is not there any more."""
    return RunFailed(f"{path} is gone: it was removed while the run trained.", shared=shared)


class Unforeseen(RunFailed):
    """An error that nothing here expects: its place in the code says more than its message."""


class PeerLost(RunFailed):
    """Loss of another process of the job: what that died of is the error to read."""


# What opencv-python links to and a server or a container often has not.
_DESKTOP_LIBRARIES = ("libGL.so", "libgthread", "libSM.so", "libXext.so")


def explain(error: BaseException) -> RgacliError:
    """Return the one-line form of any error: what went wrong, where, and what to do about it."""
    if isinstance(error, RgacliError):
        return error
    # An error in a data-loading process carries that process's traceback; its last line is the error itself.
    what = ([line for line in str(error).splitlines() if line.strip()] or [""])[-1].strip()
    what = re.sub(r"^[\w.]*Error: ", "", what)
    if isinstance(error, ImportError) and any(library in what for library in _DESKTOP_LIBRARIES):
        return UsageError(
            f"OpenCV needs a library that this system lacks ({what}). Take the build that does without: "
            "pip uninstall -y opencv-python && pip install --force-reinstall --no-deps opencv-python-headless"
        )
    if key := lacking_key(error):
        return RunFailed(f"the config lacks {key}, which mmdet reads: let it inherit one that has it (`_base_`).")
    if full := _fullness(error, what):
        where = f" while writing {error.filename}" if getattr(error, "filename", None) else ""
        return RunFailed(f"{full}{where}; what was saved before is intact. Free some space and run again.")
    if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return UsageError(f"{error.filename} is in the way ({error.strerror}): choose another place or move it.")
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return RunFailed(f"no permission for {error.filename}; choose another folder or mend its access rights.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UsageError(f"a name in {_short(error.filename)} is too long for the file system: choose a shorter one.")
    if isinstance(error, ValueError) and "embedded null" in what:
        return UsageError("a path or a name holds a null character, which none may.")
    if "Symlink loop" in what or (isinstance(error, OSError) and error.errno == errno.ELOOP):  # pathlib's, the system's
        return UsageError(f"a link leads to itself ({what.removeprefix(f'[Errno {errno.ELOOP}] ')}).")
    if type(error).__name__.startswith("Dist") or ("gloo" in what and "onnection" in what):  # torch.distributed's
        return PeerLost(f"the connection to the other processes of the job was lost ({what}).")
    if "Expected to have finished reduction" in str(error):
        return RunFailed(
            "some parameters got no gradient, which DistributedDataParallel does not expect: set "
            "find_unused_parameters = True in the config file."
        )
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "DefaultCPUAllocator" in str(error):
        return RunFailed(
            f"out of memory: lower {param('batch_size')}, the image size or the number of {param('ratios')}."
        )
    if isinstance(error, urllib.error.URLError):
        return RunFailed(
            f"a download failed ({what}), most likely of pretrained weights: give a local file by "
            f"{param('settings', 'model.backbone.init_cfg.checkpoint=FILE')}, or train from scratch by "
            f"{param('settings', 'model.backbone.init_cfg=None')}."
        )
    # torch tells of it by a signal, in the midst of any code, which may make another error of that.
    if any("DataLoader worker (pid" in str(each) for each in chain(error)):
        return RunFailed(
            "a data-loading process died, most likely for want of memory or of /dev/shm: lower "
            f"{param('batch_size')}, or {param('settings', 'train_dataloader.num_workers=1')}."
        )
    if "in function 'imdecode" in what:  # OpenCV's
        return RunFailed(f"an image cannot be read: its file is empty ({function('check_dataset')} finds it).")
    if "failed to load image" in what or isinstance(error, FileNotFoundError):
        of_image = "failed to load image" in what or re.search(r"\.(bmp|jpe?g|png|tiff?|webp)'$", what, re.IGNORECASE)
        hint = f" ({function('check_dataset')} finds every unreadable image)" if of_image else ""
        return RunFailed(f"{what.removeprefix('[Errno 2] ')}{hint}.")
    return Unforeseen(f"{type(error).__name__}: {what}")


def lacking_key(error: BaseException) -> str | None:
    """Return the key of a config that code of mmdet's or mmengine's looked for in vain, if that is what an error is."""
    found = re.search(r"'ConfigDict' object has no attribute '(\w+)'", str(error))
    return f"`{found[1]}`" if found and isinstance(error, AttributeError) else None


def _short(path: object) -> str:
    text = str(path)
    return text if len(text) <= 80 else f"{text[:40]}…{text[-20:]}"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it came of, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# What there is no room in.
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not grow so large (ulimit -f)",
}
"""An OSError's errno -> what there is no room in."""


def _fullness(error: BaseException, what: str) -> str | None:
    """Return what is full, if that is the error: torch tells only that it wrote less than it meant to."""
    if isinstance(error, OSError) and error.errno in FULL:
        return FULL[error.errno]
    met_by_torch = "inline_container" in what and "unexpected pos" in what
    return FULL[errno.ENOSPC] if met_by_torch or "No space left on device" in what else None
