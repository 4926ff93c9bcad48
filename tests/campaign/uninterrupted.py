"""What commands leave that nothing comes between, and whether a killed one leaves the same in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.errors import UsageError
from rgacli.modeling.checkpoints import read_checkpoint
from rgacli.runs import BEST, Run
from tests.support.running import assert_same

_OF_THE_CLOCK = ("time", "data_time", "memory")
_PARTS = ("state_dict", "optimizer", "param_schedulers")


def require_whole(run: Run, whole: Run) -> None:
    """Fail if a checkpoint of a killed run cannot be read, or is another than that of the run that was not killed."""
    for path in sorted(run.checkpoints.glob("[!.]*.pth")):
        try:
            content = read_checkpoint(path)
        except UsageError as error:
            raise AssertionError(f"half written: {error}") from error
        other = whole.checkpoints / path.name
        if other.is_file() and path.name != BEST:  # the best so far need not be the best of all
            _require_same_checkpoint(content, read_checkpoint(other), path.name)


def require_same(run: Run, whole: Run) -> None:
    """Fail unless a run has all that another has: checkpoints to the bit, log lines but for the clock's."""
    require_whole(run, whole)
    for path in whole.checkpoints.iterdir():
        assert (run.checkpoints / path.name).is_file(), f"{path.name} is missing"
    own, other = (read_checkpoint(each.best) for each in (run, whole))
    _require_same_checkpoint(own, other, BEST)
    about = [repr(sorted(each["meta"]["best"]["metrics"].items())) for each in (own, other)]  # NaN is not NaN
    assert about[0] == about[1], f"{BEST}: {about[0]}, not {about[1]}"
    left = [path.name for path in run.checkpoints.glob(".*")]
    assert not left, f"half-written checkpoints left: {', '.join(left)}"
    for index, (line, as_it_was) in enumerate(zip(logged(run), logged(whole), strict=False)):
        assert line == as_it_was, f"line {index + 1} of metrics.jsonl: {line}, not {as_it_was}"
    assert len(logged(run)) == len(logged(whole)), (
        f"{len(logged(run))} lines in metrics.jsonl, not {len(logged(whole))}"
    )
    assert (run.figures / "curves.csv").read_bytes() == (whole.figures / "curves.csv").read_bytes(), "curves.csv"


def _require_same_checkpoint(own: dict[str, Any], other: dict[str, Any], name: str) -> None:
    for part in _PARTS:
        if part in other:
            assert_same(own[part], other[part], f"{name}: {part}")


def logged(run: Run) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl, less what the clock says."""
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in _OF_THE_CLOCK} for line in lines]


@dataclass(frozen=True)
class Contents:
    """What lies in a folder: path -> content of each file; None where that is not the same each time.

    Hidden files are left out, and logs, whose very names tell the time.
    """

    files: dict[Path, bytes | None]

    @classmethod
    def of(cls, folder: Path) -> Contents:
        """Read a folder."""
        found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        return cls({name: path.read_bytes() for name, path in sorted(found.items()) if _counts(name)})

    def agreed(self, other: Contents) -> Contents:
        """Return what two repetitions have in common."""
        assert self.files.keys() == other.files.keys(), f"other files: {self.files.keys() ^ other.files.keys()}"
        return Contents({name: value if other.files[name] == value else None for name, value in self.files.items()})

    def require_all_of(self, expected: Contents) -> None:
        """Fail unless this is what is expected."""
        lacking, excess = expected.files.keys() - self.files.keys(), self.files.keys() - expected.files.keys()
        assert not lacking, f"missing: {_names(lacking)}"
        assert not excess, f"in excess: {_names(excess)}"
        other = {name for name, value in expected.files.items() if value is not None and self.files[name] != value}
        assert not other, f"other content: {_names(other)}"

    def require_nothing_half_written(self, before: Contents, expected: Contents) -> None:
        """Fail if a file is neither as it was before a command nor as it is after it."""
        for name, value in self.files.items():
            assert name in expected.files or name in before.files, f"{name} is left, which the whole command leaves not"
            if value == before.files.get(name) or value == expected.files.get(name):
                continue
            assert expected.files.get(name, b"") is None, f"half written: {name}"
            _require_readable(name, value)


def _require_readable(name: Path, content: bytes) -> None:
    """Fail if a file is cut short whose content is not the same each time."""
    assert content, f"half written: {name} is empty"
    if name.suffix == ".svg":
        assert content.rstrip().endswith(b"</svg>"), f"half written: {name}"
    if name.suffix == ".json":
        try:
            json.loads(content)
        except ValueError as error:
            raise AssertionError(f"half written: {name}") from error


def _counts(name: Path) -> bool:
    return not any(part.startswith(".") for part in name.parts) and "logs" not in name.parts


def _names(paths: set[Path]) -> str:
    return ", ".join(sorted(map(str, paths))[:4])
