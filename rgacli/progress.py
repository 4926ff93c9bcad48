"""How long work on a dataset's images is done, and reports that it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called after each image with the number done and the number to do."""


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> Iterator[Result]:
    """What a function makes of each item, in their order, in as many threads as there are processors.

    Pillow decodes outside the GIL.
    """
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, result in enumerate(pool.map(function, items), start=1):
            yield result
            if progress:
                progress(done, len(items))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the images still to do
