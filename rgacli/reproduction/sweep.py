"""What a sweep is: arms that are trained with several seeds, tables of what they are worth, and claims about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rgacli.errors import UsageError

Expected = Literal["positive", "negative", "zero"]

MEASURES = ("evaluate", "gt_bins", "positives", "proposals", "accuracy", "gradients", "scores")
"""Functions that measure a trained run; what each yields is in `rgacli.reproduction.quantities`."""


@dataclass(frozen=True)
class Quantity:
    """A number that each seed has: one that was measured, or a sum and difference of such.

    Attributes:
        text: As it is written: "rga/AP - plain/AP". A part is ARM/WHAT; see `rgacli.reproduction.quantities`.
        terms: (sign, arm, what) of each part.
    """

    text: str
    terms: tuple[tuple[int, str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Return the quantity that is written so.

        Raises:
            UsageError: a part is not of the form ARM/WHAT.
        """
        terms, sign = [], 1
        for index, word in enumerate(str(text).split()):
            if index % 2:
                if word not in ("+", "-"):
                    raise UsageError(f"quantity '{text}': + or - is expected in place of '{word}'.")
                sign = 1 if word == "+" else -1
                continue
            arm, slash, what = word.partition("/")
            if not (arm and slash and what):
                raise UsageError(f"quantity '{text}': '{word}' is not of the form ARM/WHAT, such as plain/AP.")
            terms.append((sign, arm, what))
        if not terms or len(str(text).split()) % 2 == 0:
            raise UsageError(f"quantity '{text}' is not whole: it is a sum such as rga/AP - plain/AP.")
        return cls(str(text), tuple(terms))

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that it is of, each once."""
        return tuple(dict.fromkeys(arm for _, arm, _ in self.terms))


@dataclass(frozen=True)
class Claim:
    """What is claimed of a quantity, to be judged over seeds by `rgacli.reproduction.judging`.

    Attributes:
        text: In a sentence's words.
        quantity: What it is about.
        expected: What the quantity is said to be: above 0, below 0, or within `margin` of 0.
        margin: In the quantity's unit; of "zero" alone.
        paper: The paper's number for the quantity; None where it gives none.
    """

    text: str
    quantity: Quantity
    expected: Expected = "positive"
    margin: float = 0.0
    paper: float | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        label: What it is of.
        cells: Column -> the quantity that stands there.
        paper: Column -> the paper's number.
    """

    label: str
    cells: Mapping[str, Quantity]
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A figure of several arms' runs of the first seed.

    Attributes:
        function: Of MEASURES.
        arms: Whose runs it overlays.
    """

    function: str
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """What arms are worth, side by side.

    Attributes:
        name: "table4".
        title: What it compares.
        rows: Its lines.
        claims: What is judged by it.
        measures: Of MEASURES: what its arms are measured by.
        figure: What is drawn beside it.
        lacking: What the paper has here and this sweep has not, and why.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    measures: tuple[str, ...] = ("evaluate",)
    figure: Figure | None = None
    lacking: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Of all rows, in their order."""
        return tuple(dict.fromkeys(column for row in self.rows for column in (*row.cells, *row.paper)))

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms and combinations that it needs."""
        own = (*self._quantities(), *((self.figure.arms,) if self.figure else ()))
        return tuple(dict.fromkeys(arm for arms in own for arm in arms))

    def _quantities(self) -> Iterator[tuple[str, ...]]:
        yield from (quantity.arms for row in self.rows for quantity in row.cells.values())
        yield from (claim.quantity.arms for claim in self.claims)


@dataclass(frozen=True)
class Sweep:
    """Arms, and what is asked of them.

    Attributes:
        name: "paper", or the file's.
        title: In a line.
        arms: Name -> parameters of `rgacli.train`, but for the seed.
        combined: Name -> the arms whose detectors are averaged: their runs of the same seed, the first one's proposals.
        trained_from: Arm -> the arm whose last checkpoint of the same seed it starts from (`weights`).
        tables: In their order.
        seeds: To train each arm with.
        bins: Of the number of objects in an image, "1-3,8+"; None: the dataset's own.

    Raises:
        UsageError: a table or a combination needs an arm that there is not, or a name is none or stands for two.
    """

    name: str
    title: str
    arms: Mapping[str, Mapping[str, Any]]
    tables: tuple[Table, ...]
    combined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trained_from: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    bins: str | None = None

    def __post_init__(self) -> None:
        named = {"an arm": (*self.arms, *self.combined), "a table": tuple(table.name for table in self.tables)}
        for what, names in named.items():
            for name in names:
                if not re.fullmatch(r"[A-Za-z0-9][\w.+=,-]*", name):  # files and folders are called so
                    raise UsageError(
                        f"{self.name}: '{name}' is no name for {what}: use letters, digits and '-', '_', '.'."
                    )
        for name, members in self.combined.items():
            if name in self.arms:
                raise UsageError(f"{self.name}: '{name}' is an arm and a combination of arms.")
            if len(members) < 2:
                raise UsageError(f"{self.name}: combined '{name}' needs two arms or more.")
            self._require(members, f"combined '{name}'")
        for name, source in self.trained_from.items():
            self._require((name, source), f"weights of '{name}'")
            if source in self.trained_from:
                raise UsageError(f"{self.name}: '{name}' starts from '{source}', which starts from another arm itself.")
        for table in self.tables:
            if table.figure and table.name in named["an arm"]:  # a figure's numbers go by its table's name
                raise UsageError(f"{self.name}: '{table.name}' is an arm and a table with a figure: rename the table.")
            self._require(table.arms, f"table '{table.name}'", self.combined)

    def _require(self, names: Sequence[str], where: str, others: Mapping[str, Any] | None = None) -> None:
        known = [*self.arms, *(others or {})]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.name}: {where} needs '{name}', which is none of {', '.join(known)}.")

    def table(self, name: str) -> Table:
        """Return the table of this name.

        Raises:
            UsageError: there is none; says which there are.
        """
        found = next((table for table in self.tables if table.name == name), None)
        if found is None:
            raise UsageError(f"{self.name}: there is no table '{name}', but {', '.join(t.name for t in self.tables)}.")
        return found
