import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from rgacli.analysis.finding import place, publish
from rgacli.evaluation.tide import Fate, Fates
from rgacli.reporting.images import Cell, CellRow, Gallery, Group, Shown
from rgacli.reporting.page import Page, Section, render
from tests.analysis.test_finding import Heights, Row

HOSTILE = '</script><script>alert("1")</script>'
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """Collects elements, and finds those that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def gallery(tmp_path):
    path = tmp_path / f"{HOSTILE.replace('/', '')}.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)
    found = Fates([Fate(1, (1, 2, 3, 4), "Bkg", 0.9)], [Fate(1, (5, 6, 7, 8), "Miss")])
    cells = [CellRow(["8+", "1:9"], [Cell("8+|1:9|Bkg", "12.5", 1.0), Cell("8+|1:9|Loc", "0.0", 0.0)])]
    groups = [
        Group("Errors", "text", headings=["objects", "head", "a", "b"], cells=cells),
        Group("Check", "text", [7], {7: HOSTILE}, {7: [(1, 2, 3, 4)]}),
    ]
    return Gallery({1: HOSTILE}, ["1:9"], {7: Shown(path, {"1:9": found})}, groups, {"8+|1:9|Bkg": [(7, 1)]})


@pytest.fixture
def page(gallery, tmp_path):
    found = publish(Heights((Row(HOSTILE, 0.5),)), place(Heights, tmp_path))
    sections = [Section("Heights & more", found), Section("Scores", lacking="it has one head")]
    return Page(HOSTILE, "on test", [f"The head {HOSTILE} gains."], {"run": HOSTILE}, sections, gallery)


def test_the_page_is_whole_and_asks_for_nothing_outside(page):
    text = render(page)
    outline = Outline(text)
    assert not outline.all("link")
    assert not outline.all("img")
    assert not outline.all("iframe")
    asked = [
        value for _, attributes in outline.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert asked
    assert all(value.startswith("#") for value in asked if value)
    namespaces = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    assert {address for address in re.findall(r"https?://[^\s\"'<)]+", text)} <= set(namespaces)


def test_what_users_call_things_is_text(page):
    text = render(page)
    assert "<script>alert" not in text
    assert len(Outline(text).all("script")) == 2


def test_links_lead_somewhere(page):
    outline = Outline(render(page))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = [attributes["href"][1:] for attributes in outline.all("a")]
    cells = [link for link in inside if link.startswith("cell=")]
    assert cells == ["cell=8%2B%7C1%3A9%7CBkg"]  # only what has images is a link
    assert set(inside) - set(cells) <= set(ids)


def test_sentences_are_sentences_and_what_lacks_says_why(page):
    text = Outline(render(page)).text
    assert "1 heads." in text
    assert "It has one head." in text


def test_the_script_draws_from_what_the_gallery_holds(page, gallery):
    text = render(page)
    [content] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert json.loads(content) == json.loads(json.dumps(gallery.content()))


def test_a_page_without_images_has_no_script(page):
    outline = Outline(render(Page("a", "b", [], {}, page.sections, None)))
    assert not outline.all("script")
    assert not outline.all("dialog")
