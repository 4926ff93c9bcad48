"""Generating README's tables anew, from the records that it names: `python -m rgacli.api.readme` in a checkout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rgacli.bench import record
from rgacli.files import write_text
from rgacli.reproduction.markdown import markdown
from rgacli.reproduction.record import read_record

Shown = Callable[[Path], str]
"""What returns the tables of a record."""
SHOWN: Mapping[str, Shown] = {
    "benchmark": lambda path: record.markdown(record.read(path)),
    "evidence": lambda path: markdown(read_record(path)),
}
"""Kinds of records."""
_BLOCK = re.compile(r"<!-- (\w+): (\S+) -->\n(.*?)<!-- end of \1 -->", re.DOTALL)


def blocks(text: str, kind: str) -> dict[str, str]:
    """Return record file -> the tables that a text has of it, between its two comments.

    Args:
        text: See `with_tables`.
        kind: Of the records: "benchmark", "evidence", ….
    """
    return {match[2]: match[3].strip() for match in _BLOCK.finditer(text) if match[1] == kind}


def with_tables(text: str, root: Path, shown: Mapping[str, Shown] = SHOWN) -> str:
    """Return a text with the tables of the records that it names, generated anew.

    Args:
        text: With `<!-- benchmark: assets/benchmarks/cpu.json -->` and `<!-- end of benchmark -->` about each, or the
            same of "evidence".
        root: What the records' paths are relative to.
        shown: Kinds of records; blocks of others stay as they are.

    Raises:
        DataError: a record is not there, or is none.
    """

    def block(match: re.Match) -> str:
        kind, name = match[1], match[2]
        if kind not in shown:
            return match[0]
        return f"<!-- {kind}: {name} -->\n\n{shown[kind](root / name)}\n\n<!-- end of {kind} -->"

    return _BLOCK.sub(block, text)


def update(root: Path, shown: Mapping[str, Shown] = SHOWN) -> None:
    """Write the tables of its records into README.md of a checkout.

    Raises:
        DataError: a record is not there, or is none.
    """
    readme = root / "README.md"
    write_text(readme, with_tables(readme.read_text(encoding="utf-8"), root, shown))


if __name__ == "__main__":
    update(Path.cwd())
