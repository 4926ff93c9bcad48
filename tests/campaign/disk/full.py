"""A full disk, during whatever is written: one line, what was there is there, and with room again it goes on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.disk.volume import BLOCK, volume
from tests.campaign.disk.works import WORKS, Work, require_kept, require_same, require_whole, snapshot
from tests.campaign.ended import Ended, require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Trial
from tests.support import sweeping

_FULL = re.compile(r"(the disk is full|files may not grow so large \(ulimit -f\)) while writing \S+;")
_LEAST = 4096  # bytes of a file's limit, which its messages are files of, too


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    # A training writes more kinds of files than others, most of them by mmengine.
    works = [work for work in WORKS for _ in range(stage.pick(3 if work.trains else 1, 1))]
    for kind, way in (("a full disk", "blocks"), ("a disk with no room for files", "files"), ("a quota", "size")):
        for number, work in enumerate(works):
            if not stage.short or number % (3 if way == "blocks" else 8) == 0:
                seed = stage.random.getrandbits(32)
                yield Trial(kind, f"{work.name}, {seed}", _Full(stage, work, way, seed))
    for _ in range(stage.pick(3, 0)):
        seed = stage.random.getrandbits(32)
        yield Trial("a full disk", f"a sweep, {seed}", _FullSweep(stage, seed))
    for words in _TO_STDOUT[:: stage.pick(1, 3)]:
        yield Trial("a full stdout", " ".join(words), _FullStdout(stage, words))


@dataclass(frozen=True)
class _Full:
    """A trial of a command whose disk has room for a random part of what it writes.

    Args:
        work: The command.
        way: What there is too little of: "blocks", "files", or "size" that one file may have.
        seed: Of how little.
    """

    stage: Stage
    work: Work
    way: str
    seed: int

    def __call__(self, folder: Path) -> None:
        chance = random.Random(self.seed)
        whole = self.work.whole(self.stage)
        with ExitStack() as stack:
            home = folder / "home"
            disk = stack.enter_context(volume(home)) if self.way != "size" else home.mkdir()
            self.work.begin(self.stage, home)
            before, arguments = snapshot(home), self.work.arguments(self.stage)
            new = [path for path in sorted(whole.rglob("*")) if str(path.relative_to(whole)) not in before]
            for _ in range(chance.choice((1, 1, 2))):
                limits = {}
                if self.way == "size":
                    limits["file_size"] = self._size(chance, [path for path in new if path.is_file()])
                elif self.way == "blocks":
                    disk.leave(blocks=chance.randrange(sum(_blocks(path) for path in new)))
                else:
                    disk.leave(files=chance.randrange(len(new)))
                ended = require_full(self.stage.rgacli(*arguments, cwd=home, **limits))
                require_kept(before, home)
                require_whole(home)
                if ended.code == 0:
                    break
                arguments = self.work.again(self.stage, home)
            if disk:
                disk.leave()
            if ended.code:
                require_well(self.stage.rgacli(*arguments, cwd=home), 0)
                require_whole(home)
            require_same(home, whole)

    def _size(self, chance: random.Random, new: list[Path]) -> int:
        sizes = sorted({path.stat().st_size for path in new if path.stat().st_size > _LEAST})
        if not sizes:
            raise NotHere("it writes small files only")
        return chance.randrange(_LEAST, chance.choice(sizes))


@dataclass(frozen=True)
class _FullSweep:
    """A trial of a sweep whose disk has room for a random part of what it writes.

    Args:
        seed: Of how little.
    """

    stage: Stage
    seed: int

    def __call__(self, folder: Path) -> None:
        whole = self.stage.made("whole-sweep", self._sweep)
        written = sum(map(_blocks, (whole / "out").rglob("*")))
        home = folder / "home"
        with volume(home) as disk:
            sweeping.trainable(home / "mine.yaml", self.stage.dataset)
            disk.leave(blocks=random.Random(self.seed).randrange(written))
            ended = self._run(home)
            assert ended.code in (0, 1), f"exit code {ended.code}: {ended.stderr}"
            assert "Traceback" not in ended.stderr, ended.stderr
            assert ended.code == 0 or _FULL.search(ended.stderr), f"it does not say why: {ended.stderr}"
            require_whole(home)
            before = sweeping.results(home / "out")
            disk.leave()
            require_well(self._run(home), 0)
            require_whole(home)
            after = sweeping.results(home / "out")
            assert before.items() <= after.items(), "what was done is done again"
            found, expected = (sweeping.numbers(each / "out") for each in (home, whole))
            assert found == expected, f"other numbers: {found}, not {expected}"

    def _sweep(self, home: Path) -> None:
        home.mkdir()
        sweeping.trainable(home / "mine.yaml", self.stage.dataset)
        require_well(self._run(home), 0)

    def _run(self, home: Path) -> Ended:
        command = ("reproduce", "mine.yaml", "--out", "out", "--jobs", 1, "--device", "cpu")
        return self.stage.rgacli(*command, cwd=home, seconds=600)


def require_full(ended: Ended) -> Ended:
    """Return it; fails unless the command did what it should, or says that the disk is full and where."""
    require_well(ended, 0, 1)
    if ended.code:
        assert _FULL.search(ended.errors[0]), ended.errors[0]
    return ended


def _blocks(path: Path) -> int:
    return max(1, -(-path.stat().st_size // BLOCK))


_TO_STDOUT = (
    ("runs", "list"),
    ("runs", "list", "--json"),
    ("configs",),
    ("configs", "quickstart"),
    ("eval", "base", "--json"),
    ("eval", "base"),
    ("ensemble", "base", "--timed", "0", "--bootstrap", "4", "--json"),
    ("analyze", "positives", "base", "--json"),
    ("analyze", "gt-bins", "base", "--bootstrap", "4", "--json"),
    ("analyze", "report", "base", "--bootstrap", "4", "--images", "0", "--json"),
    ("export", "fold", "base", "--json"),
    ("--version",),
    ("eval", "--help"),
)


@dataclass(frozen=True)
class _FullStdout:
    """A trial of a command whose stdout is a file on a full disk."""

    stage: Stage
    words: tuple[str, ...]

    def __call__(self, folder: Path) -> None:
        self.stage.copy_of_run(folder)
        before = snapshot(folder)
        ended = self.stage.rgacli(*self.words, cwd=folder, stdout="/dev/full")
        require_full(ended)
        assert ended.code == 1, f"exit code {ended.code}, and nobody has what it found: {ended.stderr}"
        require_kept(before, folder)
        require_whole(folder)
