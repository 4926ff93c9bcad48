"""A report as one HTML file, which needs no network to be read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rgacli.analysis.finding import Analysis, Table
from rgacli.reporting.drawings import color_scheme, inline_svg
from rgacli.reporting.images import Gallery
from rgacli.wording import sentence


@dataclass(frozen=True)
class Section:
    """One analysis in a report, or tables of something else.

    Attributes:
        title: Its heading.
        analysis: What was found, drawn in the style "screen"; None where it could not be had.
        lacking: Why it could not.
        tables: What is shown where there is no analysis.
    """

    title: str
    analysis: Analysis | None = None
    lacking: str = ""
    tables: Sequence[Table] = ()

    @property
    def anchor(self) -> str:
        """What links to it."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """What a report tells.

    Attributes:
        title: Of the page.
        subtitle: One line below.
        answers: The main results, a sentence each.
        about: What was trained on what, and by which versions: label -> value.
        sections: The analyses.
        gallery: Images behind the numbers; None where there are none.
        at_a_glance: The picture above all; None where there is none.
    """

    title: str
    subtitle: str
    answers: Sequence[str]
    about: Mapping[str, str]
    sections: Sequence[Section]
    gallery: Gallery | None
    at_a_glance: Analysis | None = None


def render(page: Page) -> str:
    """Return the page's HTML."""
    environment = Environment(
        loader=PackageLoader("rgacli.reporting", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "is_number": _is_number, "sentence": sentence, "clauses": _clauses}
    return environment.get_template("page.html").render(
        page=page,
        light=Markup(color_scheme(dark=False)),
        dark=Markup(color_scheme(dark=True)),
        figure=lambda found: Markup(inline_svg(found.vector.read_text(encoding="utf-8"), found.name)),
        data=_script_json(page.gallery.content()) if page.gallery else None,
    )


def _cell(value: Any) -> str:
    """Return a value as tables show it."""
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _clauses(text: str) -> list[str]:
    """Return what semicolons part, but for those inside brackets."""
    return re.split(r"; (?![^()]*\))", text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or value is None


def _script_json(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no text in it ends that element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
