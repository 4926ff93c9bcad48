"""What every analysis yields: numbers that can be told in a sentence, shown as tables and drawn as a figure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rgacli.analysis import figures, style
from rgacli.messages import tell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows to be shown.

    Attributes:
        title: Stands above.
        columns: Key in a row -> heading, with the unit.
        rows: One mapping per line; None and NaN are shown as unknown.
        group: Key of a column whose value is shown once for the rows that share it.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    group: str | None = None


class Finding(ABC):
    """The numbers that an analysis found.

    A module of this package has one frozen dataclass of this kind, and the function `collect` that makes it.

    Attributes:
        name: Of its files, and of its command in underscores: "gt_bins".
        title: What it shows, in a few words: "AP by number of objects".
        paper: What the paper found, to compare with, and where; "" of what it does not look at.
        about: What the numbers were found on, and by which settings: "bins" and the like.
        rows: A dataclass each, such as one per head and bin: what `--json` and the API give.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str] = ""
    about: Mapping[str, Any]
    rows: Sequence[Any]

    @abstractmethod
    def conclusion(self) -> str:
        """Return what was found, in a sentence with numbers; it says where a difference is within its interval."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the rows as they are to be read, most often one table."""

    @abstractmethod
    def points(self) -> list[dict[str, Any]]:
        """Return what the figure is drawn from, all with the same keys: the lines of its CSV.

        Raises:
            UsageError: there is nothing to draw.
        """

    @abstractmethod
    def draw(self) -> Figure:
        """Return the figure, in the current style."""


@dataclass(frozen=True)
class Analysis:
    """A finding, and the files that it was saved to.

    Attributes:
        name, about, rows: The finding's.
        conclusion: What was found, in a sentence.
        paper: What the paper found.
        figure: The figure as PNG.
        vector: The same as SVG, or PDF.
        data: The numbers that it was drawn from, as CSV.
        finding: All of it.
    """

    name: str
    about: Mapping[str, Any]
    rows: Sequence[Any]
    conclusion: str
    paper: str
    figure: Path
    vector: Path
    data: Path
    finding: Finding


def place(kind: type[Finding], folder: Path | str) -> Path:
    """Return where a finding's figure goes, having made sure that it and its other files can: before the work.

    Raises:
        OSError: it cannot.
    """
    path = Path(folder) / f"{kind.name}.png"
    for suffix in (".png", ".svg", ".pdf", ".csv"):
        figures.require_place(path.with_suffix(suffix))
    return path


def publish(finding: Finding, path: Path, look: str = "screen") -> Analysis:
    """Draw a finding in a style, save it, and tell where.

    Args:
        finding: What was found.
        path: The PNG, as `place` returned it.
        look: The style.

    Raises:
        UsageError: there is nothing to draw, or no such style.
    """
    with style.using(look):
        points = finding.points()  # first: it refuses what cannot be drawn
        vector = figures.save(finding.draw(), path, points)
    data = path.with_suffix(".csv")
    tell(f"figure: {path}, {vector.name}; data: {data}")
    return Analysis(
        finding.name, finding.about, finding.rows, finding.conclusion(), finding.paper, path, vector, data, finding
    )
