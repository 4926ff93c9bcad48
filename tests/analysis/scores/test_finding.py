import math

import numpy as np
import pytest

from rgacli.analysis.finding import publish
from rgacli.analysis.scores.finding import found_in
from rgacli.analysis.scores.rows import BY_CLASS, FOREGROUND, HeadScores
from rgacli.analysis.scores.tally import ScoreTally
from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import DEFAULT_BINS


def heads(*images, names=("1:9", "1:1"), order=(1, 0), run="mine"):
    """What heads said of images: (number of objects, scores (K, N)) each."""
    tallies = {score: ScoreTally(order, DEFAULT_BINS) for score in (BY_CLASS, FOREGROUND)}
    for number, (count, scores) in enumerate(images, start=1):
        for tally in tallies.values():
            tally.add(number, count, np.asarray(scores, dtype=np.float32).reshape(len(names), -1))
    return HeadScores(run, names, tallies)


def finding(*found):
    return found_in(found, DEFAULT_BINS, split="test", min_score=0.05)


def shifted(images=12, by=0.2, count=lambda number: 1 + number % 12):
    """Images in which the second head scores higher, by about as much."""
    rng = np.random.default_rng(0)
    for number in range(images):
        low = rng.uniform(0.05, 0.6, 20)
        yield count(number), [low, low + by * rng.uniform(0.5, 1.5, 20)]


SMALL = heads((2, [[0.1, 0.3, 0.5], [0.15, 0.5, 0.9]]), (9, [[0.2], [0.2]]), (0, []))


def test_rows_are_what_the_scores_say_of_all_images_and_of_each_bin():
    rows = {(row.bin, row.heads): row for row in finding(SMALL).rows if row.score == BY_CLASS}
    assert [label for label, _ in rows] == [label for label in ("all", "1-3", "4-7", "8+") for _ in range(3)]
    high, low, difference = rows["all", ("1:1",)], rows["all", ("1:9",)], rows["all", ("1:1", "1:9")]
    assert (high.images, high.outputs) == (3, 4)
    assert (high.mean, high.share) == pytest.approx(((0.15 + 0.5 + 0.9 + 0.2) / 4, 2 / 4))
    assert (low.mean, low.share) == pytest.approx(((0.1 + 0.3 + 0.5 + 0.2) / 4, 1 / 4))
    assert (difference.mean, difference.share) == pytest.approx((0.65 / 4, 2 / 4))
    assert difference.mean_low < difference.mean < difference.mean_high
    assert (rows["1-3", ("1:1", "1:9")].share, rows["8+", ("1:1", "1:9")].share) == pytest.approx((2 / 3, 0))
    assert math.isnan(rows["4-7", ("1:1",)].mean)
    assert math.isnan(rows["8+", ("1:1",)].mean_low)  # of one image


def test_disagreement_is_told_of_each_image():
    assert finding(SMALL).disagreement == {"mine": {1: pytest.approx(0.65 / 3), 2: 0, 3: 0}}


def test_the_conclusion_says_which_head_scores_higher_and_by_how_much():
    sentence = finding(heads(*shifted())).conclusion()
    assert "of the scores of 1:1 and 1:9 differ by more than 0.1" in sentence
    assert "1:1 scores 0.1" in sentence or "1:1 scores 0.2" in sentence
    assert "higher than 1:9 on average" in sentence
    assert "most differ" not in sentence  # no bin has images enough


def test_the_conclusion_says_where_nothing_can_be_told():
    rng = np.random.default_rng(0)
    noise = [(1 + number % 12, rng.random((2, 30))) for number in range(60)]
    sentence = finding(heads(*noise)).conclusion()
    assert "which of them scores higher cannot be told" in sentence
    assert "between bins no difference can be told" in sentence
    assert "no output" in finding(heads((2, []))).conclusion()


def test_the_conclusion_names_the_bins_that_differ():
    far = shifted(30, by=0.4, count=lambda number: 9)
    near = shifted(30, by=0.05, count=lambda number: 2)
    sentence = finding(heads(*far, *near)).conclusion()
    assert "most differ in images with 8+ objects" in sentence
    assert "fewest in those with 1-3 objects" in sentence


def test_bins_of_unknown_intervals_are_not_told_apart():
    """Of images with 8 and more objects only one has outputs."""
    far = [*shifted(1, by=0.4, count=lambda number: 9), *[(9, [])] * 11]
    near = shifted(30, by=0.05, count=lambda number: 2)
    assert "between bins no difference can be told" in finding(heads(*far, *near)).conclusion()


def test_tables_fit_eighty_columns_and_know_heads_from_differences():
    of_heads, of_pairs = finding(heads(*shifted())).tables()
    assert [row["name"] for row in of_heads.rows[:2]] == ["1:9", "1:1"]
    assert {row["name"] for row in of_pairs.rows} == {"1:1 − 1:9"}


def test_the_figures_numbers_are_the_histograms():
    lines = [line for line in finding(SMALL).points() if (line["score"], line["bin"]) == ("class", "all")]
    counted = {
        name: {line["from"]: line["count"] for line in lines if line["heads"] == name and line["count"]}
        for name in ("1:9", "1:1", "1:1 − 1:9")
    }
    assert counted["1:9"] == {0.1: 1, 0.2: 1, 0.3: 1, 0.5: 1}
    assert sum(counted["1:1 − 1:9"].values()) == 4
    (share,) = (line["share_from_here_on"] for line in lines if (line["heads"], line["from"]) == ("1:1 − 1:9", 0.1))
    assert share == 2 / 4


def legend_of(owner):
    (found,) = owner.legends if hasattr(owner, "legends") else [owner.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def test_a_run_of_three_heads_is_drawn():
    rng = np.random.default_rng(0)
    names = dict(names=("1:1", "1:3", "1:9"), order=(0, 1, 2))
    figure = finding(heads(*[(1 + number % 12, rng.random((3, 20))) for number in range(12)], **names)).draw()
    scores, distances, means, _ = figure.axes
    assert legend_of(scores) == ["1:1", "1:3", "1:9"]
    assert legend_of(distances)[1:] == ["1:1 and 1:3", "1:1 and 1:9", "1:3 and 1:9"]
    assert [tick.get_text() for tick in means.get_xticklabels()] == [
        "all\n(12)",
        "1-3\n(3)\nfew",
        "4-7\n(4)\nfew",
        "8+\n(5)\nfew",
    ]


def test_several_runs_are_told_apart_by_one_legend():
    figure = finding(heads(*shifted(), run="a $ b$"), heads(*shifted(by=0.4), run="c" * 40)).draw()
    assert legend_of(figure) == ["a $ b$", f"{'c' * 14}…{'c' * 15}", "1:9", "1:1"]
    colors = {line.get_color() for line in figure.axes[1].lines if len(line.get_xdata()) > 2}
    assert len(colors) == 2


@pytest.mark.slow
def test_the_figure_is_saved(tmp_path):
    publish(finding(heads(*shifted())), tmp_path / "scores.png")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw():
    with pytest.raises(UsageError, match=r"no head scores any box at least 0\.05"):
        finding(heads((2, []))).points()
