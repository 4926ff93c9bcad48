import re
from xml.etree import ElementTree

import pytest

from rgacli.analysis import style
from rgacli.analysis.finding import place, publish
from rgacli.reporting.drawings import color_scheme, inline_svg
from tests.analysis.test_finding import Heights, Row


@pytest.fixture
def svg(tmp_path):
    found = publish(Heights((Row("1:1", 0.5), Row("a & <b>", 0.7))), place(Heights, tmp_path))
    return inline_svg(found.vector.read_text(), "heights")


def test_a_figure_is_one_svg_element_whose_colours_are_the_pages(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.attrib["style"] == "--width: 288pt"
    assert not {"width", "height"} & set(root.attrib)
    assert "viewBox" in root.attrib
    assert "var(--c0)" in svg
    assert "var(--ink)" in svg
    assert not [color for color in re.findall("#[0-9a-fA-F]{6}", svg) if color.upper() in map(str.upper, style.PALETTE)]
    assert "a & <b>" in "".join(root.itertext())


def test_its_ids_are_its_own_and_what_they_are_asked_for_by(svg):
    ids = re.findall(r' id="([^"]*)"', svg)
    asked = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg)
    assert ids
    assert all(name.startswith("heights-") for name in ids)
    assert asked
    assert {name for pair in asked for name in pair if name} <= set(ids)


def test_both_schemes_declare_the_same_colours():
    names = [re.findall("--[a-z0-9]+", color_scheme(dark=dark)) for dark in (False, True)]
    assert names[0] == names[1]
    assert color_scheme(dark=False) != color_scheme(dark=True)
