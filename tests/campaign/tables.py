"""Generating README's tables anew, the campaign's included: `python -m tests.campaign.tables` in a checkout."""

from __future__ import annotations

from pathlib import Path

from rgacli.api import readme
from tests.campaign import record


def shown(root: Path) -> dict[str, readme.Shown]:
    """Return kind of record -> what shows it, of a checkout."""
    return {**readme.SHOWN, "campaign": lambda path: record.markdown(record.read(path), record.found(root))}


if __name__ == "__main__":
    readme.update(Path.cwd(), shown(Path.cwd()))
