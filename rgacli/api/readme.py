"""Generating README's tables anew, from the records that it names: `python -m rgacli.api.readme` in a checkout."""

from __future__ import annotations

import re
from pathlib import Path

from rgacli.bench import record
from rgacli.files import write_text
from rgacli.reproduction.markdown import markdown
from rgacli.reproduction.record import read_record

_SHOWN = {
    "benchmark": lambda path: record.markdown(record.read(path)),
    "evidence": lambda path: markdown(read_record(path)),
}
_BLOCK = re.compile(rf"<!-- ({'|'.join(_SHOWN)}): (\S+) -->\n(.*?)<!-- end of \1 -->", re.DOTALL)


def blocks(text: str, kind: str) -> dict[str, str]:
    """Return record file -> the tables that a text has of it, between its two comments.

    Args:
        text: See `with_tables`.
        kind: Of the records: "benchmark" or "evidence".
    """
    return {match[2]: match[3].strip() for match in _BLOCK.finditer(text) if match[1] == kind}


def with_tables(text: str, root: Path) -> str:
    """Return a text with the tables of the records that it names, generated anew.

    Args:
        text: With `<!-- benchmark: assets/benchmarks/cpu.json -->` and `<!-- end of benchmark -->` about each, or the
            same of "evidence".
        root: What the records' paths are relative to.

    Raises:
        DataError: a record is not there, or is none.
    """

    def block(match: re.Match) -> str:
        kind, name = match[1], match[2]
        return f"<!-- {kind}: {name} -->\n\n{_SHOWN[kind](root / name)}\n\n<!-- end of {kind} -->"

    return _BLOCK.sub(block, text)


def update(root: Path) -> None:
    """Write the tables of benchmarks and of evidence into README.md of a checkout.

    Raises:
        DataError: a record is not there, or is none.
    """
    readme = root / "README.md"
    write_text(readme, with_tables(readme.read_text(encoding="utf-8"), root))


if __name__ == "__main__":
    update(Path.cwd())
