"""What is printed reaches stdout while an error of it can still be told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def flushed_stdout() -> Iterator[None]:
    """Have what a block prints reach stdout by its end.

    Left to Python's own end, a full disk would be told in Python's words.

    Raises:
        OSError: it does not; what is left of it is dropped.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has gone, which is no error
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to a file is named by `rgacli.files`
            error.filename = "stdout"
            with open(os.devnull, "w") as nothing:  # else Python tries again at its end
                os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise
