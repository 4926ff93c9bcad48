"""How figures look: colours that the common colour blindnesses tell apart, sizes for a screen, a paper and a slide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE
from rgacli.wording import param

# Okabe and Ito's palette; its yellow is too light for lines on white, its blues and black too dark on black.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_ON_DARK = ("#56B4E9", "#E69F00", "#2BC49A", "#E39CC4", "#F0E442", "#F07F4A")

StyleName = Literal["screen", "paper", "slide", "dark"]


@dataclass(frozen=True)
class Style:
    """What a figure is to be looked at on.

    Attributes:
        name: What users call it.
        width: Of the widest figure, in inches.
        scale: Of text and panels; at 1 text has 10 points.
        vector: The vector format that goes there: "svg", or "pdf" for LaTeX.
        dark: Whether it is light on dark.
    """

    name: str
    width: float = 11.0
    scale: float = 1.0
    vector: str = "svg"
    dark: bool = False

    @property
    def palette(self) -> tuple[str, ...]:
        """Colours of what is compared, in their order."""
        return _ON_DARK if self.dark else PALETTE

    @property
    def ink(self) -> str:
        """Colour of text, axes, and of what all else is compared with."""
        return "#E8E8E8" if self.dark else "#1A1A1A"

    @property
    def muted(self) -> str:
        """Colour of what stands back: notes, references."""
        return "#A0A0A0" if self.dark else "#666666"

    @property
    def faint(self) -> str:
        """Colour of grids and of what cannot be told."""
        return "#3F3F3F" if self.dark else "#E3E3E3"

    @property
    def paper(self) -> str:
        """Colour of the background."""
        return "#161616" if self.dark else "#FFFFFF"

    @property
    def settings(self) -> dict[str, Any]:
        """Return matplotlib's settings."""
        from matplotlib import cycler

        return {
            "axes.prop_cycle": cycler(color=self.palette),
            "font.size": 10 * self.scale,
            "font.family": "sans-serif",
            "axes.titlesize": "medium",
            "legend.fontsize": "small",
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "grid.color": self.faint,
            "grid.linewidth": 0.8,
            "figure.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "savefig.facecolor": self.paper,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.edgecolor": self.ink,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "svg.fonttype": "none",  # text stays text: it can be searched and copied
            "svg.hashsalt": "rgacli",  # the same figure has the same bytes
            "pdf.fonttype": 42,  # as journals want fonts embedded
        }


STYLES = {
    style.name: style
    for style in (
        Style("screen"),
        Style("paper", width=7.0, scale=0.8, vector="pdf"),  # two columns wide, 8 points
        Style("slide", width=12.5, scale=1.5),
        Style("dark", dark=True),
    )
}

_current: ContextVar[Style] = ContextVar("style", default=STYLES["screen"])


def current() -> Style:
    """Return the style that figures are drawn in now."""
    return _current.get()


@contextmanager
def using(name: str) -> Iterator[Style]:
    """Draw and save figures in a style, meanwhile.

    Raises:
        UsageError: there is no such style.
    """
    from matplotlib import rc_context

    require_style(name)
    token = _current.set(STYLES[name])
    try:
        with rc_context(STYLES[name].settings):  # relative sizes of text are resolved where it is made
            yield STYLES[name]
    finally:
        _current.reset(token)


def require_style(name: str) -> None:
    """Raise a UsageError unless there is a style of this name."""
    if name not in STYLES:
        raise UsageError(f"{param('style', name)}: it can be one of {', '.join(STYLES)}.")


def color(index: int) -> str:
    """Return the colour of the thing of this place among those compared."""
    palette = current().palette
    return palette[index % len(palette)]


@dataclass(frozen=True)
class Look:
    """How one of several things is drawn: those of one run share a colour, or heads have one each if there is one run.

    Attributes:
        color: matplotlib's.
        dashes: matplotlib's line style.
        marker: matplotlib's.
    """

    color: str
    dashes: Any
    marker: str


_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "v", "P", "X")


def looks(things: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Look]:
    """Return how (run, head)s are told apart in one figure.

    With one run, heads have a colour each and the ensemble is of ink's. With several, each has a colour, and its heads
    have dashes and markers. The ensemble is always a solid line, its marker a diamond.

    Args:
        things: Run and head of each; a name without a run has "" for it.
    """
    runs = list(dict.fromkeys(run for run, _ in things))
    heads = list(dict.fromkeys(head for _, head in things if head != ENSEMBLE))
    dashes, markers = dict(zip(heads, cycle(_DASHES), strict=False)), dict(zip(heads, cycle(_MARKERS), strict=False))
    found = {}
    for run, head in things:
        if len(runs) > 1:
            own = color(runs.index(run))
        else:
            own = current().ink if head == ENSEMBLE else color(heads.index(head))
        several = len(runs) > 1 and len(heads) > 1 and head != ENSEMBLE
        found[run, head] = Look(own, dashes[head] if several else "-", "D" if head == ENSEMBLE else markers[head])
    return found
