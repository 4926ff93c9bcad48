"""Generating README's tables of benchmarks anew: `python -m rgacli.bench.readme` in a checkout."""

from __future__ import annotations

from pathlib import Path

from rgacli.bench.record import with_tables
from rgacli.files import write_text


def update(root: Path) -> None:
    """Write the tables of the records that README.md of a checkout names into it.

    Raises:
        DataError: a record is not there, or none.
    """
    readme = root / "README.md"
    write_text(readme, with_tables(readme.read_text(encoding="utf-8"), root))


if __name__ == "__main__":
    update(Path.cwd())
