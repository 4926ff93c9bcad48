"""Generating README's tables anew, from the records that it names: `python -m rgacli.api.readme` in a checkout."""

from __future__ import annotations

from pathlib import Path

from rgacli.bench.record import with_tables
from rgacli.files import write_text
from rgacli.reproduction.markdown import with_evidence


def update(root: Path) -> None:
    """Write the tables of benchmarks and of evidence into README.md of a checkout.

    Raises:
        DataError: a record is not there, or none.
    """
    readme = root / "README.md"
    text = with_tables(readme.read_text(encoding="utf-8"), root)
    write_text(readme, with_evidence(text, root))


if __name__ == "__main__":
    update(Path.cwd())
