"""A disk that is full, as far as one process is told."""

import resource
from contextlib import contextmanager


@contextmanager
def files_of_at_most(size):
    """Lets no file of this process grow beyond so many bytes: what is written meanwhile is cut off, or an OSError."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
