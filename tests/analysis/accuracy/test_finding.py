import numpy as np
import pytest

from rgacli.analysis import style
from rgacli.analysis.accuracy.finding import collect
from rgacli.errors import UsageError
from tests.support.logs import training

UP, DOWN = np.linspace(10, 90, 50), np.linspace(100, 95, 50)


def two_heads(name="run", **options):
    return training(name, acc_pos={"1:1": UP, "1:9": UP / 2}, acc_neg={"1:1": DOWN, "1:9": DOWN}, **options)


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def entries(figure):
    (legend,) = figure.legends
    return {text.get_text(): line for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)}


def test_a_single_run_has_a_colour_per_head_and_the_ensemble_in_ink():
    figure = collect([two_heads(scores=[0.2, 0.3])]).draw()
    assert titles(figure) == ["accuracy on positives (%)", "accuracy on negatives (%)", "validation AP (%)"]
    colors = {name: line.get_color() for name, line in entries(figure).items()}
    assert colors == {"head 1:1": style.color(0), "head 1:9": style.color(1), "ensemble": style.current().ink}
    assert [line.get_color() for line in figure.axes[0].lines] == [style.color(0), style.color(1)]
    one, ensemble = figure.axes[2].lines
    assert (one.get_color(), ensemble.get_color()) == (style.color(0), style.current().ink)
    assert ensemble.get_xdata().tolist() == [1, 2]
    assert ensemble.get_ydata() == pytest.approx([20, 30])
    assert figure.axes[2].get_xlabel() == "epoch"


def test_runs_have_a_colour_and_heads_dashes_and_validations_are_the_ensembles():
    figure = collect([two_heads("plain", scores=[0.2]), two_heads("rga", lambda0=7.0, scores=[0.3])]).draw()
    assert list(entries(figure)) == ["plain (no RGA)", "rga (λ0 7)", "head 1:1", "head 1:9"]
    lines = figure.axes[0].lines
    assert [line.get_color() for line in lines] == [style.color(0)] * 2 + [style.color(1)] * 2
    assert lines[0].get_linestyle() == lines[2].get_linestyle() != lines[1].get_linestyle() == lines[3].get_linestyle()
    assert titles(figure)[2] == "validation AP (%), ensemble"
    assert [line.get_ydata()[0] for line in figure.axes[2].lines] == pytest.approx([20, 30])


def test_small_differences_in_validation_look_small():
    low, high = collect([two_heads("a", scores=[0.5]), two_heads("b", scores=[0.501])]).draw().axes[2].get_ylim()
    assert high - low >= 5


def test_negatives_are_drawn_from_where_they_settle():
    falls = np.r_[[10.0, 60.0], DOWN]
    figure = collect([training(acc_pos={"1:1": [0.0] * 52}, acc_neg={"1:1": falls})]).draw()
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.axes[1].get_ylim()[0] > 50


def test_without_validation_there_are_two_panels_and_no_table_of_it():
    found = collect([two_heads()])
    assert len(found.draw().axes) == 2
    assert [table.title for table in found.tables()] == [
        f"training accuracy (%), on {side}" for side in ("positives", "negatives")
    ]


def test_what_was_never_logged_is_left_out():
    found = collect([training(acc_neg={"1:1": [99.0, 98.0]})])
    assert [row.on for row in found.rows] == ["negatives"]
    assert len(found.tables()) == 1
    assert not found.draw().axes[0].lines


def test_a_detector_without_heads_of_ours_has_its_validations_beside():
    stock = training("stock", scores=[0.4, 0.3])
    found = collect([stock, two_heads(scores=[0.5])])
    assert {row.run for row in found.rows} == {"run"}
    assert all(row.baseline is None for row in found.rows)
    assert found.tables()[-1].rows[0] == dict(
        run="stock", head="ensemble", last=0.3, after="epoch 2", best=0.4, at="epoch 1"
    )
    colors = [line.get_color() for line in found.draw().axes[2].lines]
    assert colors == [style.color(0), style.color(1)]
    with pytest.raises(UsageError, match="logged nothing"):
        collect([training("stock", quotas={"1:1": 8}, scores=[0.4])])


def test_the_conclusion_of_a_run_is_what_its_heads_begin_and_end_with():
    assert collect([two_heads(scores=[0.25])]).conclusion() == (
        "run, right in the first and in the last 20 % of iterations: head 1:1 17.3 and 82.7 % of positives, 99.5 and "
        "95.5 % of negatives; head 1:9 8.7 and 41.3 % of positives, 99.5 and 95.5 % of negatives; run ends at AP 0.250 "
        "(ensemble)"
    )


def test_tables_of_several_runs_have_differences_with_their_intervals():
    better = training("rga", lambda0=7.0, acc_pos={"1:1": UP + 5}, acc_neg={"1:1": DOWN})
    found = collect([training("plain", acc_pos={"1:1": UP}, acc_neg={"1:1": DOWN}), better])
    positives, _ = found.tables()
    assert positives.title == "training accuracy (%), on positives; difference to plain"
    assert positives.rows[1]["first_difference"] == positives.rows[1]["difference"] == "+5.0 ±0.0"
    assert "difference" not in positives.rows[0]
    assert found.conclusion().startswith(
        "rga (λ0 7) against plain, accuracy in points, head 1:1: on positives +5.0 (95 %"
    )


def test_runs_that_nothing_compares_are_said_to_be_so():
    alone = training("alone", acc_pos={"1:3": UP}, acc_neg={"1:3": DOWN})
    assert "; they are not compared, having other heads" in collect([alone, two_heads("both")]).conclusion()


def test_the_csv_has_accuracies_and_validations_by_one_set_of_columns():
    nan = float("nan")
    points = collect([training(acc_pos={"1:1": [1.0, nan, 3.0]}, scores=[0.25])]).points()
    assert points == [
        dict(run="run", head="1:1", of="accuracy on positives (%)", iteration=5, epoch=None, value=1, smoothed=1),
        dict(run="run", head="1:1", of="accuracy on positives (%)", iteration=15, epoch=None, value=3, smoothed=3),
        dict(run="run", head="1:1", of="validation AP", iteration=10, epoch=1, value=0.15, smoothed=None),
        dict(run="run", head="ensemble", of="validation AP", iteration=10, epoch=1, value=0.25, smoothed=None),
    ]


def test_of_a_cascade_it_is_said_that_it_is_the_first_stage():
    found = collect([two_heads(cascade=True)])
    assert found.tables()[0].title == "training accuracy (%), on positives, first stage"
    assert found.draw().axes[0].get_ylabel() == "first stage"
