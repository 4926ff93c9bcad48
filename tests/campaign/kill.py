"""Killed at any moment.

Every command that writes is killed (SIGKILL) at random moments, and then called again. A training goes on by its
checkpoints and ends as the one that nothing came between, to the bit; other commands leave the same files. What was
half written is never taken for whole, and no process stays behind.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rgacli.modeling.checkpoints import read_checkpoint
from rgacli.runs import Run
from tests.campaign.ended import Ended, require_well
from tests.campaign.killing import Moment, require_none_left
from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Trial
from tests.campaign.uninterrupted import Contents, require_same, require_whole
from tests.cli.commands import settings
from tests.support import sweeping

EPOCHS = 3
_TWO = ("--gpus", "2")
_LOADERS = settings({f"{split}_dataloader.num_workers": 2 for split in ("train", "val")})
_RUN = Path("runs/killed")
_LOGGED = f"{_RUN}/metrics.jsonl"


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the part's trials."""
    yield from _of_trainings(stage)
    yield from _of_several_processes(stage)
    yield from _of_writing_commands(stage)
    yield from _of_sweeps(stage)


# --- trainings ---


def _of_trainings(stage: Stage) -> Iterator[Trial]:
    alone = functools.partial(_killed_training, stage)
    for _ in range(stage.pick(12, 1)):
        part = stage.random.random()
        yield Trial("training killed at any moment", f"after {part:.1%} of its time", alone(Moment(part)))
    for _ in range(stage.pick(6, 1)):
        part = 0.35 * stage.random.random()
        yield Trial("training killed in its first seconds", f"after {part:.1%} of its time", alone(Moment(part)))
    for name in [stage.random.choice(("epoch_1", "epoch_2", "epoch_3", "best")) for _ in range(stage.pick(16, 1))]:
        delay = stage.random.choice((0.0, 0.001, 0.003, 0.01)) * stage.random.random()
        sight = f"{_RUN}/checkpoints/.{name}.*.pth"
        yield Trial(
            "training killed as it writes a checkpoint",
            f"{name}, {1000 * delay:.2f} ms later",
            alone(Moment(delay, sight)),
        )
    for _ in range(stage.pick(10, 1)):
        epoch, delay = stage.random.randint(1, EPOCHS), 0.5 * stage.random.random()
        sight = f"{_RUN}/checkpoints/epoch_{epoch}.pth"
        yield Trial(
            "training killed as it validates",
            f"after epoch {epoch}, {1000 * delay:.0f} ms later",
            alone(Moment(delay, sight)),
        )
    for _ in range(stage.pick(6, 0)):
        first, second = sorted(stage.random.random() for _ in range(2))
        yield Trial(
            "training killed, and again as it goes on",
            f"after {first:.1%}, then {second:.1%}",
            alone(Moment(first), Moment(second)),
        )
    for _ in range(stage.pick(4, 1)):
        delay = stage.random.random()
        killed = Moment(delay, _LOGGED, "loader")
        yield Trial(
            "data-loading process of a training killed",
            f"{delay:.2f} s after the first step",
            alone(killed, more=_LOADERS),
        )
    for _ in range(stage.pick(3, 0)):
        delay = stage.random.random()
        killed = Moment(delay, _LOGGED, "main")
        yield Trial(
            "training killed, not what loads its data",
            f"{delay:.2f} s after the first step",
            alone(killed, more=_LOADERS),
        )


def _of_several_processes(stage: Stage) -> Iterator[Trial]:
    two = functools.partial(_killed_training, stage, more=_TWO, seconds=300)
    for _ in range(stage.pick(3, 0)):
        part = stage.random.random()
        yield Trial("training of two processes killed", f"after {part:.1%} of their time", two(Moment(part)))
    for _ in range(stage.pick(2, 0)):
        delay = 2 * stage.random.random()
        yield Trial(
            "one of two ranks killed", f"{delay:.2f} s after the first step", two(Moment(delay, _LOGGED, "rank"))
        )
    for _ in range(stage.pick(2, 0)):
        delay = 2 * stage.random.random()
        yield Trial("the launcher killed", f"{delay:.2f} s after the first step", two(Moment(delay, _LOGGED, "main")))
    moments = (("", "it began", 4), (_LOGGED, "the first step", 0))  # its ranks take seconds to import torch
    for sight, when, least in moments[stage.pick(0, 1) :]:
        delay = least + 3 * stage.random.random()
        name = f"in a long training, {delay:.2f} s after {when}"
        yield Trial("the launcher killed", name, _killed_launcher(stage, delay, sight))


@dataclass(frozen=True)
class _Whole:
    """A training that nothing came between: its run, and how long it took."""

    run: Run
    seconds: float


def _training(stage: Stage, more: tuple[str, ...]) -> tuple[str, ...]:
    own = settings({"train_cfg.val_interval": 1, "default_hooks.checkpoint.max_keep_ckpts": 2})
    return (*stage.training(EPOCHS), *own, *more)


def _uninterrupted(stage: Stage, processes: tuple[str, ...]) -> _Whole:
    def train(home: Path) -> None:
        home.mkdir()
        stage.rgacli("--version", cwd=home)  # so that the time is less what only a first command takes
        ended = stage.rgacli(*_training(stage, processes), "--name", "killed", cwd=home, seconds=400)
        require_well(ended, 0)
        (home / "seconds").write_text(str(ended.seconds))

    home = stage.made("-".join(("whole", *processes)), train)
    return _Whole(Run(home / _RUN), float((home / "seconds").read_text()))


def _killed_training(
    stage: Stage, *moments: Moment, more: tuple[str, ...] = (), seconds: float = 120
) -> Callable[[Path], None]:
    """Return a trial: a training, and each that goes on with it, is killed at a moment, and the last ends.

    Args:
        stage: What trials share.
        moments: The delay of one without a sight is a share of the time that a whole training takes.
        more: Arguments of the training.
        seconds: It may take.
    """

    def run(folder: Path) -> None:
        processes = _TWO if more == _TWO else ()
        whole, own = _uninterrupted(stage, processes), Run(folder / _RUN)
        anew = (*_training(stage, tuple(more)), "--name", "killed")
        going_on = ("train", "--resume", "--name", "killed", "--device", "cpu", *processes)
        command = anew
        for moment in moments:
            moment = _in_seconds(moment, whole.seconds)
            _require_killed(stage.rgacli(*command, cwd=folder, seconds=seconds, killed=moment), moment, own)
            require_none_left(folder)
            require_whole(own, whole.run)
            command = going_on if own.config.is_file() else anew
        require_well(stage.rgacli(*command, cwd=folder, seconds=seconds), 0)
        require_same(own, whole.run)
        require_none_left(folder)

    return run


def _in_seconds(moment: Moment, whole: float) -> Moment:
    """Return a moment whose delay, without a sight, is a share of the time that the whole takes."""
    return moment if moment.sight else replace(moment, delay=moment.delay * whole)


def _killed_launcher(stage: Stage, delay: float, sight: str) -> Callable[[Path], None]:
    """Return a trial: ranks that would train for an hour stop with their launcher, once trained with a checkpoint."""

    def run(folder: Path) -> None:
        moment = Moment(delay, sight, "main")
        command = (*stage.training(1000), *_TWO, "--name", "killed")
        require_well(stage.rgacli(*command, cwd=folder, seconds=300, killed=moment), -9)
        require_none_left(folder)
        if sight:
            checkpoint = Run(folder / _RUN).last_checkpoint()
            assert checkpoint.name.startswith("iter_"), f"no checkpoint of where it was stopped, but {checkpoint.name}"
            read_checkpoint(checkpoint)

    return run


def _require_killed(ended: Ended, moment: Moment, run: Run) -> None:
    """Fail unless a command was killed, or ended well before; or said in one line what of it was killed."""
    if moment.victims in ("all", "main"):
        require_well(ended, 0, -9)
        return
    if require_well(ended, 0, 1).code:
        what = "data-loading process" if moment.victims == "loader" else "rank 1 was ended by SIGKILL"
        assert what in ended.errors[0], f"it does not say what was killed: {ended.errors[0]}"
        goes_on = "rgacli train --resume" in ended.errors[0] or not run.all_checkpoints()
        assert goes_on, f"it does not say how to go on: {ended.errors[0]}"


# --- commands that write files ---


@dataclass(frozen=True)
class _Writing:
    """A command that writes.

    Attributes:
        arguments: Of it. It finds a trained run, runs/base, and images in its folder.
        needs: Module without which it cannot be tried.
        prepared: Fills the folder further.
        is_made_once: Whether it refuses to write where something lies: what it made before it was killed is whole.
    """

    arguments: tuple[str, ...]
    needs: str = ""
    prepared: Callable[[Path], object] = lambda folder: None
    is_made_once: bool = False


def _crowds(folder: Path) -> None:
    from tests.data.crowdhuman_files import write_crowdhuman, zip_images

    write_crowdhuman(folder / "crowds", {"train": 6, "val": 3})
    for path in (folder / "crowds/Images").iterdir():
        os.utime(path, (1e9, 1e9))  # archives keep it
    zip_images(folder / "crowds", "CrowdHuman_train01.zip", "0*.jpg")
    zip_images(folder / "crowds", "CrowdHuman_val.zip", "1*.jpg")
    (folder / "crowds/Images").rmdir()


_CPU = ("--device", "cpu")
_COMMANDS = {
    "eval": _Writing(("eval", "base", "--head", "all", "--plots", "--show-dir", "shown", *_CPU)),
    "eval of two processes": _Writing(("eval", "base", "--head", "all", *_TWO, *_CPU)),
    "ensemble": _Writing(("ensemble", "base", "--method", "joint-nms", "--method", "dispatch", *_CPU)),
    "predict": _Writing(("predict", "images", "--run", "base", "--out", "found", "--score", "0", *_CPU)),
    "analyze gt-bins": _Writing(("analyze", "gt-bins", "base", *_CPU)),
    "export fold": _Writing(("export", "fold", "base")),
    "export head": _Writing(("export", "head", "base", "--head", "1:9")),
    "export onnx": _Writing(("export", "onnx", "base"), needs="onnx"),
    "data synth": _Writing(("data", "synth", "made", "--train", "20", "--val", "5", "--test", "5"), is_made_once=True),
    "data convert": _Writing(("data", "convert", "data", "made", "--to", "yolo"), is_made_once=True),
    "data crowdhuman": _Writing(("data", "crowdhuman", "crowds"), prepared=_crowds),
}


def _of_writing_commands(stage: Stage) -> Iterator[Trial]:
    for name, command in _COMMANDS.items():
        if stage.short and "--gpus" in command.arguments:
            continue  # its processes take half a minute to start
        for _ in range(stage.pick(2, 0)):
            part = stage.random.random()
            yield Trial(
                f"{name} killed", f"after {part:.1%} of its time", _killed_command(stage, name, command, Moment(part))
            )
        for _ in range(stage.pick(2, 1)):
            delay = 0.01 * stage.random.random()
            run = _killed_command(stage, name, command, Moment(delay, "**/.*"))
            yield Trial(f"{name} killed", f"{1000 * delay:.2f} ms after it began to write", run)


def _lay_out(stage: Stage, command: _Writing, folder: Path) -> None:
    stage.copy_of_run(folder)
    shutil.copytree(stage.dataset, folder / "data")
    shutil.copytree(stage.dataset / "images/test", folder / "images")
    command.prepared(folder)


def _killed_command(stage: Stage, name: str, command: _Writing, moment: Moment) -> Callable[[Path], None]:
    def twice(home: Path) -> None:
        for each in ("one", "other"):
            _lay_out(stage, command, home / each)
            ended = require_well(stage.rgacli(*command.arguments, cwd=home / each), 0)
        (home / "seconds").write_text(str(ended.seconds))

    def run(folder: Path) -> None:
        if command.needs and not importlib.util.find_spec(command.needs):
            raise NotHere(f"{command.needs} is not installed")
        home = stage.made(name.replace(" ", "-"), twice)
        whole = Contents.of(home / "one").agreed(Contents.of(home / "other"))
        _lay_out(stage, command, folder)
        before = Contents.of(folder)
        killed = _in_seconds(moment, float((home / "seconds").read_text()))
        first = require_well(stage.rgacli(*command.arguments, cwd=folder, killed=killed), 0, -9)
        require_none_left(folder)
        after = Contents.of(folder)
        after.require_nothing_half_written(before, whole)
        is_made = command.is_made_once and after.files.keys() == whole.files.keys()
        if first.code:
            require_well(stage.rgacli(*command.arguments, cwd=folder), 2 if is_made else 0)
        Contents.of(folder).require_all_of(whole)

    return run


# --- sweeps ---


def _of_sweeps(stage: Stage) -> Iterator[Trial]:
    for _ in range(stage.pick(3, 0)):
        part, victims = stage.random.random(), stage.random.choice(("all", "main"))
        which = "with its jobs" if victims == "all" else "alone"
        yield Trial(
            "reproduce killed",
            f"{which}, after {part:.1%} of its time",
            _killed_sweep(stage, Moment(part, victims=victims)),
        )


def _killed_sweep(stage: Stage, moment: Moment) -> Callable[[Path], None]:
    command = ("reproduce", "mine.yaml", "--out", "out", "--jobs", "1", *_CPU)

    def sweep(home: Path) -> None:
        home.mkdir(exist_ok=True)
        sweeping.trainable(home / "mine.yaml", stage.dataset, train={"epochs": EPOCHS})
        ended = require_well(stage.rgacli(*command, cwd=home, seconds=600), 0)
        (home / "seconds").write_text(str(ended.seconds))

    def run(folder: Path) -> None:
        whole = stage.made("sweep", sweep)
        sweeping.trainable(folder / "mine.yaml", stage.dataset, train={"epochs": EPOCHS})
        killed = _in_seconds(moment, float((whole / "seconds").read_text()))
        require_well(stage.rgacli(*command, cwd=folder, seconds=600, killed=killed), 0, -9)
        require_none_left(folder)
        before = sweeping.results(folder / "out")
        require_well(stage.rgacli(*command, cwd=folder, seconds=600), 0)
        require_none_left(folder)
        after = sweeping.results(folder / "out")
        assert before.items() <= after.items(), "what was done is done again"
        found, expected = (sweeping.numbers(each / "out") for each in (folder, whole))
        assert found == expected, f"other numbers: {found}, not {expected}"

    return run
