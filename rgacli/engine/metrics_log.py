"""metrics.jsonl: what a run logs, one JSON object per step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend

from rgacli.config.run_record import is_logged
from rgacli.errors import DataError, gone
from rgacli.files import naming, parse_json, write_text


@VISBACKENDS.register_module()
class JsonLinesVisBackend(BaseVisBackend):
    """mmengine visualisation backend that appends one JSON object per logged step to a file.

    Args:
        save_dir: Folder of the file.
        file_name: Its name.
    """

    def __init__(self, save_dir: str, file_name: str = "metrics.jsonl") -> None:
        super().__init__(save_dir)
        self.path = Path(save_dir) / file_name
        self._init_env()

    @property
    def experiment(self) -> JsonLinesVisBackend:
        """This backend itself: there is no other writer behind it."""
        return self

    def _init_env(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Append {name: value, "step": step}."""
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        """Append the scalars and the step they were logged at as one line."""
        line = {name: _json_number(value) for name, value in scalar_dict.items()}
        if not self.path.parent.is_dir():  # nor is it made again: parts of a run are no use to anybody
            raise gone(self.path.parent)
        # One write of one line in append mode: a reader never sees half of it.
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "step": step}) + "\n")


def _json_number(value: Any) -> Any:
    """Return a plain number; None for what JSON has no number for (the AP of a size that no object has is NaN)."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class NewLines:
    """The lines that came since they were last asked for, of a log that goes on being written.

    Args:
        path: Of the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = self._count = 0  # read so far, also of lines

    def __call__(self) -> list[dict[str, Any]]:
        """Return them, less one that is still being written, or was left half written by a killed run.

        Raises:
            DataError: a line is none that was logged.
        """
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._bytes)
            lines = [line for line in file if line.endswith(b"\n")]
        found = [_logged(line, number, self._path) for number, line in enumerate(lines, start=self._count + 1)]
        self._bytes, self._count = self._bytes + sum(map(len, lines)), self._count + len(lines)
        return found


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return all lines of a log that are whole.

    Raises:
        DataError: a line is none that was logged.
    """
    return NewLines(path)()


def _logged(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        values = parse_json(line)
    except ValueError:  # of the encoding, too
        values = None
    if not isinstance(values, dict) or not _is_step(values.get("step")) or not all(map(is_logged, values.values())):
        raise DataError(f"{path} is damaged: line {number} is no JSON object of numbers with a step; remove that line.")
    return values


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**63


def is_validation(line: Mapping[str, Any]) -> bool:
    """Return whether a logged line is of a validation: "coco/1to9/AP" and its like."""
    return any("/" in name for name in line)


def truncate_metrics(path: Path, iteration: int, *, validated: bool = True) -> None:
    """Drop the lines logged after `iteration`: a run resumed there logs them again.

    Args:
        path: The log.
        iteration: At which the run goes on.
        validated: Whether that comes after the validation at this iteration, if there is one.
    """
    if not path.is_file():
        return
    kept = [line for line in read_metrics(path) if line["step"] < iteration + (validated or not is_validation(line))]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
