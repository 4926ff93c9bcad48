"""What the trials of a part share: chance, datasets, trained runs, and ways to run the command line."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, LifoQueue
from random import Random
from typing import TypeVar

from tests.campaign.ended import Ended
from tests.campaign.forked import Forked
from tests.cli.commands import TINY, start

T = TypeVar("T")


class Stage:
    """Of one part.

    Args:
        folder: For what trials share; trials have folders of their own.
        seed: Of all that is random. Each part draws from it anew, so that parts can be repeated alone.
        part: Its name.
        short: Whether this is the short campaign.
    """

    def __init__(self, folder: Path, seed: int, part: str, short: bool) -> None:
        self.folder, self.seed, self.short = folder, seed, short
        self.random = Random(f"{seed}/{part}")
        self._making = threading.RLock()
        self._there: set[str] = set()
        self._idle: LifoQueue[Forked] = LifoQueue()

    def pick(self, whole: T, short: T) -> T:
        """Return how much there is to do: in the whole campaign, or in the short one."""
        return short if self.short else whole

    @property
    def dataset(self) -> Path:
        """A dataset in COCO's layout: 8 images of 64x64 pixels to train on, 4 to validate, 4 to test; 3 classes."""
        from rgacli.data.synthetic import write_dataset

        sizes = {"train": 8, "val": 4, "test": 4}
        return self.made(
            "dataset", lambda folder: write_dataset(folder, sizes=sizes, image_size=(64, 64), max_objects=4)
        )

    @property
    def run(self) -> Path:
        """A run of a PRM detector that was trained on it for two epochs. Not to be written to."""

        def train(home: Path) -> None:
            home.mkdir()
            self.call(*self.training(2), "--name", "base", cwd=home, codes=(0,))

        return self.made("trained", train) / "runs/base"

    def copy_of_run(self, folder: Path) -> Path:
        """Return a copy of that run, as runs/base of a folder."""
        return Path(shutil.copytree(self.run, folder / "runs/base"))

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a folder that `make` fills when it is first asked for, whichever thread asks."""
        with self._making:
            folder = self.folder / name
            if name not in self._there:
                shutil.rmtree(folder, ignore_errors=True)  # what a failure left of it
                make(folder)
                self._there.add(name)
            return folder

    def training(self, epochs: int) -> tuple[str, ...]:
        """Return the arguments of a training that takes a few seconds."""
        return ("train", "quickstart", "--data", str(self.dataset), "--epochs", str(epochs), "--device", "cpu", *TINY)

    def rgacli(self, *arguments: object, **limits: object) -> Ended:
        """Run `rgacli ARGUMENTS` as `Forked.rgacli` does; several threads may do so at once."""
        try:
            forked = self._idle.get_nowait()
        except Empty:
            forked = Forked()
        ended = forked.rgacli(*arguments, **limits)
        self._idle.put(forked)
        return ended

    def call(self, *arguments: object, cwd: Path, seconds: float = 300, codes: tuple[int, ...] = ()) -> Ended:
        """Run `rgacli ARGUMENTS` in a fresh process, as users do; fails if it ends by none of `codes`, if given."""
        begun = time.monotonic()
        with start(*arguments, cwd=cwd) as process:
            try:
                stdout, stderr = process.communicate(timeout=seconds)
                code = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                (stdout, stderr), code = process.communicate(), None
        ended = Ended(tuple(map(str, arguments)), code, stdout, stderr, time.monotonic() - begun)
        assert not codes or ended.code in codes, f"{' '.join(ended.arguments)}: {ended.code}\n{stderr[-3000:]}"
        return ended

    def close(self) -> None:
        """End its processes."""
        while not self._idle.empty():
            self._idle.get().close()
