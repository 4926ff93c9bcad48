import csv

import pytest

from rgacli.analysis.curves import LAMBDA, LOSS, ON_NEGATIVES, ON_POSITIVES, POSITIVES, Point, collect, plot
from rgacli.errors import UsageError

VARIANTS = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


def test_what_is_logged_becomes_points_by_panel_and_head():
    line = {
        "loss": 3.0,
        "loss_rpn_cls": 0.5,
        "loss_rpn_bbox": 0.25,
        "loss_mask": 0.125,
        "1to1.loss_cls": 1.0,
        "1to1.loss_bbox": 0.5,
        "1to9.acc_pos": 40.0,
        "1to9.acc_neg": 90.0,
        "1to1.positives": 12.0,
        "1to1.negatives": 52.0,
        "lambda": 4.0,
        "lr": 0.01,
        "time": 0.1,
        "step": 5,
    }
    validation = {"coco/1to9/AP": 0.25, "coco/1to9/AP50": 0.5, "coco/ensemble/AP": None, "time": 0.1, "step": 5}
    assert collect([line, validation], VARIANTS, "AP") == [
        Point(LOSS, "total", 5, 3.0),
        Point(LOSS, "RPN", 5, 0.75),
        Point(LOSS, "loss_mask", 5, 0.125),
        Point(LOSS, "1:1", 5, 1.5),
        Point(ON_POSITIVES, "1:9", 5, 40.0),
        Point(ON_NEGATIVES, "1:9", 5, 90.0),
        Point(POSITIVES, "1:1", 5, 12.0),
        Point(LAMBDA, LAMBDA, 5, 4.0),
        Point("AP", "1:9", 5, 0.25),
    ]


def test_a_cascades_losses_are_added_up_and_the_rest_is_its_first_stages():
    line = {f"s{stage}.1to1.{name}": 1.0 + stage for stage in range(3) for name in ("loss_cls", "positives", "acc_pos")}
    points = collect([{**line, "step": 1}], VARIANTS, "AP")
    assert {(point.panel, point.value) for point in points} == {(LOSS, 6.0), (POSITIVES, 1.0), (ON_POSITIVES, 1.0)}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in place of files."""
    found = []
    monkeypatch.setattr("rgacli.analysis.figures.save", lambda figure, path, rows: found.append((figure, rows)))
    return found


def test_a_panel_is_drawn_for_what_there_is_and_heads_have_one_colour(drawn, tmp_path):
    heads = [Point(panel, name, i, 1.0 + i) for panel in (POSITIVES, "AP") for i in (1, 2) for name in ("1:9", "1:1")]
    points = [*heads, Point("AP", "ensemble", 2, 0.5)]
    plot(points, {"1:1": 32, "1:9": 6}, tmp_path / "curves.png")
    ((figure, rows),) = drawn
    assert rows[0] == dict(panel=POSITIVES, curve="1:9", iteration=1, value=2.0)
    assert len(rows) == len(points)
    positives, ap = figure.axes
    assert [axis.get_title() for axis in (positives, ap)] == ["positives per image (dashed: asked for)", "AP"]
    colors = [{line.get_label(): line.get_color() for line in axis.get_lines()} for axis in (positives, ap)]
    assert colors[0]["1:1"] == colors[1]["1:1"] != colors[1]["1:9"]
    quotas = {line.get_ydata()[0]: line.get_color() for line in positives.get_lines() if line.get_linestyle() == "--"}
    assert quotas == {32: colors[0]["1:1"], 6: colors[0]["1:9"]}


def test_the_figure_lies_beside_its_numbers(tmp_path):
    plot([Point(LAMBDA, LAMBDA, 1, 7.0)], {}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "curves.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [dict(panel="λ", curve="λ", iteration="1", value="7.0")]


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(UsageError, match="nothing was logged"):
        plot([], {}, tmp_path / "curves.png")
