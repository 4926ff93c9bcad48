import pytest
from matplotlib.colors import to_hex

from rgacli.analysis import positives, style
from rgacli.analysis.at_a_glance.finding import collect
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import difference, evaluate
from rgacli.evaluation.tide import error_counts
from rgacli.method import ENSEMBLE
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.logs import training

TRUTH = random_annotations(0)
RESULTS = {name: noisy_detections(TRUTH, seed, noise=8) for seed, name in enumerate(("1:1", "1:9", ENSEMBLE))}
VARIANTS = {name: evaluate(TRUTH, detections) for name, detections in RESULTS.items()}
RISING = [*[2.0] * 9, 3.0, *[6.0] * 70, *[8.0] * 20]


def of(log, names=tuple(RESULTS), variants=VARIANTS):
    own = ({name: each[name] for name in names} for each in (RESULTS, variants))
    return collect(log, *own, run="mine", split="test", score=0.4, samples=20)


@pytest.fixture(scope="module")
def found():
    drawn = {"1:9": 100 * [1.0], "1:1": RISING}
    return of(positives.collect([training(positives=drawn, quotas={"1:9": 3, "1:1": 16})]))


def test_what_is_found_and_what_is_false_is_of_detections_that_score_enough(found):
    objects = sum(VARIANTS["1:1"].gt_counts.values())
    counts = error_counts(TRUTH, RESULTS, score=0.4)
    rates = {(each.quantity, each.name): each for each in found.rates}
    for name, evaluation in VARIANTS.items():
        pairs = zip(RESULTS[name], evaluation.outcomes, strict=True)
        right = sum(outcome == 1 for each, outcome in pairs if each["score"] >= 0.4)
        wrong = sum(count for own in counts[name].values() for error, count in own.items() if error != "Miss")
        assert 0 < right < objects
        assert rates["objects found", name].value == pytest.approx(100 * right / objects)
        assert rates["false detections", name].value == pytest.approx(100 * wrong / objects)  # as TIDE has it
        assert all(each.low <= each.value <= each.high for each in found.rates)


def test_rows_are_differences_of_what_they_name(found):
    rates = {(each.quantity, each.name): each.value for each in found.rates}
    rise, *heads, first, second = found.rows
    assert (rise.value, rise.other_value, rise.difference) == (8, 2, 6)  # of the head that asks for most
    for row in heads:
        assert (row.name, row.other) == ("1:1", "1:9")
        assert (row.value, row.other_value) == tuple(
            pytest.approx(rates[row.quantity, name]) for name in (row.name, row.other)
        )
        assert row.difference == pytest.approx(row.value - row.other_value)
    for row, head in ((first, "1:1"), (second, "1:9")):
        assert (row.name, row.other) == (ENSEMBLE, head)
        assert row.change == tuple(difference(VARIANTS[head], VARIANTS[ENSEMBLE], samples=20))


def test_each_panel_has_its_claim_above(found):
    axes = found.draw().axes
    assert len(found.sentences) == len(found.claims) == len(axes) == 3
    for axis, claim, told in zip(axes, found.claims.values(), found.sentences, strict=True):
        assert told.casefold() == f"{claim.text}.".casefold()
        assert shown(axis.get_title(loc="left")) == claim.headline.casefold()
        assert shown(axis.texts[0].get_text()) == f"{claim.numbers}.".casefold()
    assert found.conclusion() == "; ".join(claim.text for claim in found.claims.values())


def shown(text):
    return text.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ").casefold()


def test_a_head_has_one_colour_in_all_panels(found):
    training, heads, ensemble = found.draw().axes
    first, second, whole = style.color(0), style.color(1), style.current().ink
    assert training.lines[0].get_color() == first
    assert [to_hex(bar.get_facecolor()).upper() for bar in heads.patches] == 2 * [first, second, whole]
    assert [line.get_color() for line in ensemble.lines[1:]] == [first, second]


def test_the_curve_is_drawn_against_what_is_asked_for_and_gains_against_none(found):
    training, heads, ensemble = found.draw().axes
    curve, asked = training.lines
    assert curve.get_xdata()[[0, -1]].tolist() == [5, 500]
    assert set(asked.get_ydata()) == {16}
    assert [bar.get_width() for bar in heads.patches] == [each.value for each in found.rates]
    zero, *gains = ensemble.lines
    assert set(zero.get_xdata()) == {0}
    assert [line.get_xdata()[0] for line in gains] == [row.difference for row in found.rows_of("ensemble")]


def test_the_csv_has_the_curve_the_bars_and_the_gains(found):
    points = found.points()
    assert len(points) == 100 + 6 + 2
    assert len({tuple(point) for point in points}) == 1
    assert points[0] == dict(
        panel="training", quantity="positives", name="1:1", iteration=5, value=2, smoothed=2, low=None, high=None
    )
    bar, gain = points[100], points[-1]
    assert (bar["quantity"], bar["name"], bar["value"]) == ("objects found", "1:1", found.rates[0].value)
    assert (gain["quantity"], gain["value"], gain["low"]) == ("AP less that of 1:9", *found.rows[-1].change[:2])


def test_of_one_head_its_positives_alone_are_shown():
    found = of(positives.collect([training(positives={"1:3": RISING})]), names=["1:1"])
    assert list(found.claims) == ["training"]
    assert len(found.draw().axes) == len(found.sentences) == 1
    assert not found.rates


@pytest.mark.parametrize(
    "log", [None, positives.collect([training("plain"), training("rga", positives={"1:1": RISING})])]
)
def test_without_a_log_of_the_first_run_the_heads_remain(log):
    found = of(log)
    assert list(found.claims) == ["heads", "ensemble"]
    assert len(found.draw().axes) == 2


def test_where_nothing_can_be_shown_nothing_is_drawn():
    empty = {**TRUTH, "annotations": []}
    nothing = {name: evaluate(empty, own) for name, own in RESULTS.items()}
    found = of(None, variants=nothing)
    assert found.rows == []
    assert found.sentences == []
    with pytest.raises(UsageError, match="nothing to draw"):
        found.points()


def test_it_is_drawn_in_the_colours_of_the_style(found):
    with style.using("dark") as dark:
        training, _, ensemble = found.draw().axes
    assert training.lines[0].get_color() == dark.palette[0]
    assert ensemble.lines[0].get_color() == dark.ink
