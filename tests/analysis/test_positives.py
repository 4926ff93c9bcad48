import math

import numpy as np
import pytest

from rgacli.analysis import style
from rgacli.analysis.positives import collect
from rgacli.errors import UsageError
from tests.support.logs import training

RISING = [*[2.0] * 9, 3.0, *[6.0] * 70, *[8.0] * 20]  # of 100 lines, 5 iterations apart


def test_early_and_late_means_are_of_their_shares_of_iterations_and_of_the_quota():
    (row,) = collect([training(positives={"1:1": RISING}, quotas={"1:1": 16})]).rows
    assert (row.run, row.head, row.quota) == ("run", "1:1", 16)
    assert (row.early, row.early_share, row.early_until) == (2, 0.125, 25)
    assert (row.late, row.late_share, row.late_from) == (8, 0.5, 405)
    assert (row.rise, row.rise_low, row.rise_high) == (6, 6, 6)
    assert 390 <= row.reached <= 410  # where the smoothed curve steps from 6 to 8


def test_the_conclusion_tells_what_is_beyond_its_interval_and_what_is_not():
    noise = np.random.default_rng(0).normal(5, 1, 100)
    found = collect([training(positives={"1:1": RISING, "1:9": noise})])
    _, first, second = found.conclusion().split(", head ")
    assert first == "1:1 2.0 and 8.0 of the 10 asked for, +6.0 (95 %: +6.0 to +6.0)"
    assert ", within its interval (95 %: −" in second


@pytest.mark.parametrize("lines", [[3.0], [3.0, 6.0]])
def test_a_line_or_two_are_enough_for_everything_but_an_interval(lines):
    found = collect([training(positives={"1:1": lines})])
    (row,) = found.rows
    assert (row.early, row.late) == (lines[0], lines[-1])
    assert math.isnan(row.rise_low)
    assert found.conclusion().endswith(" (no interval)")
    assert found.draw().axes[0].lines[0].get_marker() == "o"


def test_a_panel_of_a_head_has_its_curve_and_its_quota_and_is_as_high():
    figure = collect([training(positives={"1:1": RISING, "1:9": RISING}, quotas={"1:1": 32, "1:9": 6})]).draw()
    assert [axis.get_title() for axis in figure.axes] == [
        f"head {head} (dashed: the {quota} asked for)" for head, quota in (("1:1", 32), ("1:9", 6))
    ]
    for axis, quota in zip(figure.axes, (32, 6), strict=True):
        curve, line = axis.lines
        assert set(line.get_ydata()) == {quota}
        assert quota < axis.get_ylim()[1] < 1.1 * quota
        assert curve.get_xdata()[[0, -1]].tolist() == [5, 500]
        assert len(axis.collections) == 1  # the band
    assert figure.axes[0].lines[0].get_color() != figure.axes[1].lines[0].get_color()
    assert not figure.legends


def test_runs_are_overlaid_by_colour_and_named_with_their_lambda():
    few = training("plain", positives={"1:1": RISING[:30]})
    figure = collect([training("no-heads"), few, training("rga", lambda0=7.0, positives={"1:1": RISING})]).draw()
    (axis,) = figure.axes
    assert [line.get_color() for line in axis.lines[:2]] == [style.color(1), style.color(2)]  # as in other figures
    assert 500 <= axis.get_xlim()[1] <= 520
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain (no RGA)", "rga (λ0 7)"]


def test_of_a_cascade_it_is_said_that_it_is_the_first_stage():
    found = collect([training(positives={"1:1": RISING}, cascade=True)])
    assert found.tables()[0].title == "sampled positives per image, first stage: run"
    assert found.draw().axes[0].get_ylabel() == "positives per image, first stage"


def test_the_table_and_the_csv_have_what_is_drawn():
    found = collect([training(positives={"1:1": RISING})])
    (table,) = found.tables()
    (row,) = table.rows
    assert {key: row[key] for key in table.columns} == {
        "head": "1:1",
        "quota": 10,
        "early": "2.0 (20 %)",
        "early_until": 25,
        "late": "8.0 (80 %)",
        "late_from": 405,
        "reached": found.rows[0].reached,
    }
    points = found.points()
    assert len(points) == 100
    assert points[0] == dict(run="run", head="1:1", iteration=5, positives=2, smoothed=2, quota=10)


def test_nothing_to_draw_is_refused():
    with pytest.raises(UsageError, match="run dry logged nothing yet"):
        collect([training("dry", quotas={"1:1": 32})])
