"""Two commands at once that write to one place: whoever may not says so, and what is there in the end is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.campaign.disk.gone import unfinish
from tests.campaign.disk.works import WORKS, Work, require_same, require_whole
from tests.campaign.ended import Ended, require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Trial

_RESUME = ("train", "--resume", "--name", "new", "--device", "cpu")


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    for number in range(stage.pick(2, 1)):
        yield Trial("two trainings of one name", f"{number}", _of(_train_twice, stage))
        yield Trial("two resumes of one run", f"{number}", _of(_resume_twice, stage))
    for name, other in list(_BESIDE.items())[:: stage.pick(1, 3)]:
        yield Trial("another command on a run that trains", name, _of(_beside, stage, other))
    for number in range(stage.pick(3, 0)):
        yield Trial("two exports into one folder", f"{number}", _of(_export_both, stage))
    for work in (work for work in WORKS if not work.trains):
        if not stage.short or work.name in ("detections", "a stock model"):
            yield Trial("one command twice at once", work.name, _of(_twice, stage, work))


def _of(function: Callable[..., object], *given: object) -> Callable[[Path], object]:
    return lambda folder: function(folder, *given)


def _at_once(stage: Stage, folder: Path, *commands: Sequence[object]) -> list[Ended]:
    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(lambda _: stage.rgacli("configs", cwd=folder), commands))  # what they are forked off is there
        return list(pool.map(lambda words: require_well(stage.rgacli(*words, cwd=folder)), commands))


def _require_one_winner(ended: Sequence[Ended], words: Sequence[str]) -> None:
    codes = sorted(one.code for one in ended)
    if codes == [0, 0] and any("epoch_2.pth\n" in one.stderr.partition("done: ")[0] for one in ended):
        raise NotHere("the second began when the first had ended")
    assert codes == [0, 2], f"exit codes {codes}: {[one.errors for one in ended]}"
    (line,) = next(one.errors for one in ended if one.code)
    assert any(word in line for word in words), line


def _train_twice(folder: Path, stage: Stage) -> None:
    training = next(work for work in WORKS if work.trains)
    command = training.arguments(stage)
    _require_one_winner(_at_once(stage, folder, command, command), ("exists", "trained by process"))
    require_whole(folder)
    require_same(folder, training.whole(stage))


def _begun(folder: Path, stage: Stage) -> Path:
    """Make a run in a folder that has one of its epochs to go, and return a folder where it went."""
    whole = next(work for work in WORKS if work.trains).whole(stage)
    shutil.copytree(whole / "runs", folder / "runs")
    unfinish(folder / "runs/new")
    return whole


def _resume_twice(folder: Path, stage: Stage) -> None:
    whole = _begun(folder, stage)
    _require_one_winner(_at_once(stage, folder, _RESUME, _RESUME), ("trained by process",))
    require_whole(folder)
    require_same(folder, whole)


_BESIDE = {
    "evaluated": ("eval", "new", "--which", "1"),
    "exported": ("export", "fold", "new", "--which", "1"),
    "removed": ("runs", "rm", "new", "--yes"),
    "pruned": ("runs", "prune", "--yes"),
    "shown": ("runs", "show", "new"),
    "looked at": ("analyze", "positives", "new"),
}


def _beside(folder: Path, stage: Stage, other: Sequence[str]) -> None:
    whole = _begun(folder, stage)
    trained, _ = _at_once(stage, folder, _RESUME, other)
    if other[1] == "rm" and trained.code == 2:  # it was removed before the training had begun
        assert not (folder / "runs/new").exists()
        return
    assert trained.code == 0, trained.errors
    require_whole(folder)
    for name in ("epoch_2.pth", "best.pth"):
        assert (folder / "runs/new/checkpoints" / name).is_file() == (whole / "runs/new/checkpoints" / name).is_file()


def _twice(folder: Path, stage: Stage, work: Work) -> None:
    work.begin(stage, folder)
    command = work.arguments(stage)
    first, second = _at_once(stage, folder, command, command)
    assert 0 in (first.code, second.code), [*first.errors, *second.errors]
    require_whole(folder)
    require_same(folder, work.whole(stage))


def _export_both(folder: Path, stage: Stage) -> None:
    """Of two exports into one folder, what is there in the end is the one or the other, and not parts of both."""
    stage.copy_of_run(folder)
    commands = [("export", *words, "base", "--out", "out") for words in (("fold",), ("head", "--head", "1:9"))]
    ended = _at_once(stage, folder, *commands)
    assert 0 in [one.code for one in ended], [line for one in ended for line in one.errors]
    require_whole(folder)
    alone = []
    for number, command in enumerate(commands):
        home = folder / f"alone-{number}"
        stage.copy_of_run(home)
        require_well(stage.rgacli(*command, cwd=home), 0)
        alone.append(home / "out")
    for each in alone:
        try:
            require_same(folder / "out", each)
        except AssertionError:
            continue
        return
    raise AssertionError(f"parts of both: {sorted(path.name for path in (folder / 'out').rglob('*'))}")
