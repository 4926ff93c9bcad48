"""How long work is done, and reports that it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from rgacli.cores import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """Callback, called as work goes on."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of the `total` parts of a task are done; several tasks may go on in turn.

        Args:
            task: What is being done, in a word or two: "training", "decoding".
            done: From 0 or 1 up to `total`, which ends the task. The first report of a resumed task starts later.
            total: Parts in all.
            note: What else is known just now, such as the loss.
        """
        ...


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None, task: str = ""
) -> Iterator[Result]:
    """Yield what a function makes of each item, in their order, in as many threads as there are processors.

    Pillow decodes outside the GIL.

    Args:
        function: What to do.
        items: What to do it to.
        progress: Told of each item.
        task: What the reports call it.
    """
    pool = ThreadPoolExecutor(cores())
    try:
        for done, result in enumerate(pool.map(function, items), start=1):
            yield result
            if progress:
                progress(task, done, len(items))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the images still to do
