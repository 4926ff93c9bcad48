"""What a person should know while work goes on, through Python's logging ("rgacli"); the command line shows it."""

from __future__ import annotations

import logging

from rgacli.wording import spelled

LOGGER = logging.getLogger("rgacli")
LOGGER.addHandler(logging.NullHandler())  # silent, unless the program that imports us listens


class Message:
    """A line that names parameters; as text, spelled for Python."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return spelled(self.text)


def tell(text: str) -> None:
    """Log one line (level INFO), which may name parameters and functions by `rgacli.wording`."""
    LOGGER.info("%s", Message(text))
