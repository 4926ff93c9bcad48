"""Figures inside a page: SVG whose colours follow the reader's scheme, light or dark."""

from __future__ import annotations

import re

from rgacli.analysis import style

_LIGHT, _DARK = style.STYLES["screen"], style.STYLES["dark"]


def _named(chosen: style.Style) -> dict[str, str]:
    """Return CSS variable -> colour."""
    own = {"ink": chosen.ink, "muted": chosen.muted, "faint": chosen.faint, "paper": chosen.paper}
    return own | {f"c{index}": color for index, color in enumerate(chosen.palette)}


_VARIABLES = {color.lower(): f"var(--{name})" for name, color in _named(_LIGHT).items()}
_COLOR = re.compile("|".join(_VARIABLES), re.IGNORECASE)


def color_scheme(*, dark: bool) -> str:
    """Return the CSS declarations of the colours that figures are drawn in."""
    return "; ".join(f"--{name}: {color}" for name, color in _named(_DARK if dark else _LIGHT).items())


def inline_svg(drawing: str, name: str) -> str:
    """Return a figure as an SVG element that is to stand inside a page with `color_scheme`'s colours.

    Args:
        drawing: Its SVG file, in the style "screen".
        name: What its ids begin with, by which they are unique in the page.
    """
    svg = drawing[drawing.index("<svg") :]
    svg = _COLOR.sub(lambda match: _VARIABLES[match[0].lower()], svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{name}-", svg)
    # As wide as it was drawn, so that text is of one size in all figures, if the page is as wide.
    svg = re.sub(r' (width)="([\d.]+pt)"', r' style="--\1: \2"', svg, count=1)
    return re.sub(r' height="[\d.]+pt"', "", svg, count=1)
