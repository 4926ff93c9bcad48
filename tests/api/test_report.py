import json
import re
import shutil
import webbrowser
from pathlib import Path
from types import SimpleNamespace

import pytest

from rgacli.api.report import _analyses as analyses_of
from rgacli.api.report import _over_seeds as over_seeds
from rgacli.api.report import report
from rgacli.errors import UsageError
from rgacli.reproduction.judging import judge
from rgacli.reproduction.sweep import Quantity, Row, Table
from rgacli.reproduction.tables import write_tables
from tests.conftest import ON_THE_CPU
from tests.reporting.test_page import Outline
from tests.support.near_misses import find_nearly


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_run, tiny_dataset):
    """A folder with runs/base and runs/other, the same run twice, and the report of one against the other."""
    root = tmp_path_factory.mktemp("home")
    for name in ("base", "other"):
        shutil.copytree(finished_run, root / "runs" / name)
    return root


@pytest.fixture
def here(home, tiny_dataset, monkeypatch):
    monkeypatch.setattr(*ON_THE_CPU)
    monkeypatch.chdir(home)
    find_nearly(monkeypatch, tiny_dataset / "annotations/test.json")


@pytest.fixture(scope="module")
def made(home, tiny_dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ON_THE_CPU)
        patch.chdir(home)
        find_nearly(patch, tiny_dataset / "annotations/test.json")
        opened = []
        patch.setattr(webbrowser, "open", opened.append)  # which returns nothing, as where there is no browser
        patch.setattr("rgacli.api.report.tell", opened.append)
        found = report("base", bootstrap=2, images=3, open=True)
        return found, (home / found.path).read_text(), opened


def test_all_that_reads_detections_has_them_limited_alike(monkeypatch):
    limits = {}

    def noted(name):
        return lambda *_, **given: limits.update({name: given.get("max_dets")})

    reading = ("gt_bins", "error_types", "calibration", "count_error")
    for name in (*reading, "scores", "proposals", "positives", "accuracy", "gradients"):
        monkeypatch.setattr(f"rgacli.api.report.{name}", noted(name))
    analyses_of(SimpleNamespace(detectors={}), None, 300, 2, None, {})
    assert {name: limits[name] for name in reading} == dict.fromkeys(reading, 300)


def test_a_run_of_a_sweep_has_the_sweeps_tables(tmp_path):
    table = Table("one", "One", (Row("plain", {"AP": Quantity.parse("plain/AP")}),))
    write_tables(tmp_path / "tables", [judge(table, {"plain": {0: {"AP": 17.3}}})])
    run = tmp_path / "runs" / "plain-s0"
    assert over_seeds(run) == []  # no sweep lies there
    (tmp_path / "manifest.json").write_text("{}")
    [section] = over_seeds(run)
    assert section.title == "Over seeds: One"
    assert section.tables[0].rows == [{"row": "plain", "AP": "17.3", "paper AP": ""}]
    assert over_seeds(tmp_path / "other" / "plain-s0") == []


def test_the_page_lies_beside_its_figures(made, home):
    found, text, opened = made
    assert found.path == Path("runs/base/figures/test/report.html")
    uri = (home / found.path).as_uri()
    assert opened == [f"report: {found.path}", uri, "no browser was found to show the report in."]
    figures = {analysis.name for analysis in found.analyses.values()}
    assert {
        "at_a_glance",
        "gt_bins",
        "errors",
        "calibration",
        "count_error",
        "scores",
        "proposals",
        "accuracy",
        "positives",
    } <= figures
    assert all((home / analysis.figure).is_file() for analysis in found.analyses.values())
    outline = Outline(text)
    assert len(outline.all("figure")) == len(found.analyses)


def test_five_sentences_answer(made):
    found, text, _ = made
    assert len(found.answers) == 5
    outline = Outline(text)
    for answer in found.answers:
        assert answer in " ".join(outline.text.split())


def test_a_picture_of_three_sentences_stands_above_all(made, home):
    found, text, _ = made
    assert found.at_a_glance is found.analyses["at_a_glance"]
    assert len(found.at_a_glance.finding.sentences) == 3
    assert (home / found.path).with_name("at_a_glance.png") == home / found.at_a_glance.figure
    ids = [attributes.get("id") for attributes in Outline(text).all("section")]
    assert ids[:2] == ["at-a-glance", "answer"]


def test_what_could_not_be_had_says_why(made):
    found, text, _ = made
    assert list(found.lacking) == ["Gradients"]
    assert "probe_gradients" in found.lacking["Gradients"]
    assert found.lacking["Gradients"][1:] in " ".join(Outline(text).text.split())


def test_the_images_are_those_asked_for_and_have_each_head(made):
    found, text, _ = made
    [content] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    data = json.loads(content)
    assert data["heads"] == ["1:1", "1:9", "ensemble"]
    assert 0 < len(data["images"]) == found.images <= 3
    assert all(len(image["found"]) == 3 and image["objects"] for image in data["images"].values())


@pytest.mark.slow
def test_of_two_runs_the_second_is_what_the_first_is_compared_with(here, rendered):
    found = report(["base", "other"], bootstrap=2, images=0)
    assert found.path == Path("figures/test/report.html")
    assert found.answers[0].endswith("against other.")
    text = found.path.read_text()
    assert "base against other" in text
    assert not Outline(text).all("script")


@pytest.mark.parametrize("given", [{"images": -1}, {"bootstrap": 1}])
def test_numbers_out_of_range_are_refused_before_the_work(here, given):
    [(name, value)] = given.items()
    with pytest.raises(UsageError, match=f"{name}={value}: it must be at least"):
        report("base", **given)


def test_a_page_without_a_place_is_refused_before_the_work(here, monkeypatch):
    Path("file").touch()
    monkeypatch.setattr("rgacli.api.report.gt_bins", None)
    with pytest.raises(FileExistsError):
        report("base", out=Path("file/figures"))
