"""How long work on a dataset reports that it goes on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called after each image with the number done and the number to do."""
