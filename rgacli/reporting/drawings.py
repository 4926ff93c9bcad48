"""Figures inside a page: SVG whose colours follow the reader's scheme, light or dark."""

from __future__ import annotations

import io
import re

from rgacli.analysis import figures, style
from rgacli.analysis.finding import Finding

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


def inline_svg(finding: Finding) -> str:
    """Return a finding's figure as an SVG element that is to stand inside a page with `color_scheme`'s colours.

    Its ids begin with the finding's name: they are unique in a page.
    """
    with style.using(_LIGHT.name):
        buffer = io.BytesIO()
        figures.write(finding.draw(), buffer, "svg")
    text = buffer.getvalue().decode()
    svg = text[text.index("<svg") :]
    svg = _COLOR.sub(lambda match: _VARIABLES[match[0].lower()], svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{finding.name}-", svg)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
