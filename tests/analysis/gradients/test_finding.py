import math

import numpy as np
import pytest
import torch

from rgacli.analysis import style
from rgacli.analysis.gradients.finding import collect
from rgacli.analysis.gradients.probes import probes_of, read, require_probes
from rgacli.errors import UsageError
from rgacli.modeling.gradients import measure_heads
from tests.support import tiny

WEIGHT = "layer4.0.conv1"


def vectors(*angles, lengths=(3, 4)):
    """Of two heads, such angles apart from one probe to the next."""
    return [
        torch.tensor([[lengths[0], 0.0], [lengths[1] * math.cos(a), lengths[1] * math.sin(a)]])
        for a in map(math.radians, angles)
    ]


def probed(name, found, names=("1to1", "1to9"), every=5, weight=WEIGHT):
    """The probes of a run."""
    return probes_of(name, weight, {every * i: measure_heads(v, list(names)) for i, v in enumerate(found, start=1)})


def rising(count=50, seed=0):
    """Angles that go from 30 to 80 degrees, with noise."""
    return np.linspace(30, 80, count) + np.random.default_rng(seed).normal(0, 5, count)


# --- what is read


def config(**hook):
    cfg = tiny.tiny_config()
    cfg.custom_hooks = [*cfg.custom_hooks, *([dict(type="GradientProbeHook", **hook)] if hook else [])]
    return cfg


def test_a_log_yields_its_probes_and_none_of_its_other_lines():
    lines = [
        {"loss": 1.0, "1to1.loss_cls": 0.5, "step": 5},
        {"gradient.heads.1to1": 2.0, "gradient.heads.1to9_2": None, "gradient.heads.sum": 3.0, "step": 5},
        {"coco/1to1/AP": 0.5, "step": 8},
        {"gradient.heads.1to1": 1.0, "gradient.heads.sum": 1.0, "step": 10},
    ]
    found = read("run", config(every=5, weight="layer3.0.conv1"), lines)
    assert (found.name, found.weight, found.places.tolist()) == ("run", "layer3.0.conv1", [5, 10])
    assert found.parts("heads") == ["1:1", "1:9#2"]
    assert found.parts("branches") == []
    assert found.of("heads")["1:1"].tolist() == [2, 1]
    assert np.isnan(found.of("heads")["1:9#2"]).all()


def test_a_log_without_probes_is_refused_with_the_way_to_get_some():
    assert read("run", config(), [{"loss": 1.0, "step": 5}]) is None
    with pytest.raises(UsageError, match=r"run x logged no gradients: measure them .* measure=64.* probe_gradients=50"):
        require_probes("x", None)


# --- what is found


def test_a_row_has_the_means_of_its_probes():
    (row,) = collect([probed("run", vectors(0, 90))]).rows
    assert (row.run, row.compared, row.probes) == ("run", "R-CNN heads", 2)
    assert row.norms == pytest.approx({"1:1": 3, "1:9": 4})
    assert (row.sum, row.sum_of_norms) == pytest.approx((6, 7))
    assert row.ratio == pytest.approx((1 + 5 / 7) / 2)
    assert row.at_right_angles == pytest.approx(5 / 7)
    assert row.angle == pytest.approx(45)
    assert row.below == 0.5  # of vectors of one direction it is not below
    assert math.isnan(row.angle_low)


def test_intervals_and_the_change_are_told_where_there_are_enough_probes():
    found = collect([probed("run", vectors(*rising()))])
    (row,) = found.rows
    assert row.angle_low < row.angle < row.angle_high
    assert 0 < row.ratio_low < row.ratio < row.ratio_high < 1
    assert row.change_low < 40 < row.change_high  # from the mean of the first fifth to that of the last
    assert "below it in 100 % of 50 probes, and from the first fifth to the last the angle changes by +" in (
        found.conclusion()
    )
    steady = collect([probed("run", vectors(*rising()[np.random.default_rng(1).permutation(50)]))])
    assert "°, within its interval (95 %: −" in steady.conclusion()


def test_too_few_probes_are_called_so():
    assert collect([probed("run", vectors(30))]).conclusion().endswith("% of 1 probe, too few for an interval")


def test_of_a_checkpoint_there_is_no_change():
    found = collect([probed("run", vectors(*rising()), every=1)], measured="64 images of train")
    assert math.isnan(found.rows[0].change)
    assert found.conclusion().endswith("below it in 100 % of 50 batches")
    assert found.about == {"runs": ["run"], "weight": WEIGHT, "measured": "64 images of train"}


def test_a_mask_head_makes_a_row_of_branches():
    masked = [torch.cat([v, torch.tensor([[0.0, 2.0]])]) for v in vectors(10, 20, 30)]
    rows = collect([probed("run", masked, ("1to1", "1to9", "mask"))]).rows
    assert [(row.compared, list(row.norms)) for row in rows] == [
        ("R-CNN heads", ["1:1", "1:9"]),
        ("box and mask branch", ["box", "mask"]),
    ]
    assert rows[1].norms["box"] == pytest.approx(rows[0].sum)


def test_one_head_has_nothing_to_be_compared_with():
    found = collect([probed("run", [v[:1] for v in vectors(0, 0, 0)], ["1to3"])])
    assert found.conclusion() == "the only head's gradient has a norm of 3: there is nothing to compare it with"
    assert math.isnan(found.rows[0].angle)
    assert len([axis for axis in found.draw().axes if axis.get_visible()]) == 1
    assert found.tables()[0].rows[0]["angle"] == "unknown"


def test_a_single_head_beside_a_mask_head_is_the_box_branch():
    found = collect([probed("run", vectors(30, 40), ("1to3", "mask"))])
    assert [row.compared for row in found.rows] == ["box and mask branch"]
    assert [axis.get_title() for axis in found.draw().axes] == [
        "box and mask branch, at layer4.0.conv1",
        "angle between them (dashed: a right angle)",
    ]


def test_gradients_at_different_weights_are_not_compared():
    runs = [probed(weight, vectors(0), weight=weight) for weight in ("layer3.0.conv1", "layer4.0.conv1")]
    with pytest.raises(UsageError, match=r"at different weights of the backbone \(layer3.0.conv1, layer4.0.conv1\)"):
        collect(runs)


def test_what_was_infinite_is_left_out():
    found = {5: {"heads.1to1": 1.0, "heads.1to9": 1.0, "heads.sum": 2.0, "heads.sum_of_norms": 2.0, "heads.angle": 0.0},
             10: dict.fromkeys(["heads.1to1", "heads.1to9", "heads.sum", "heads.sum_of_norms"])}  # fmt: skip
    (row,) = collect([probes_of("run", WEIGHT, found)]).rows
    assert (row.norms["1:1"], row.sum, row.ratio, row.below, row.angle) == (1, 2, 1, 0, 0)


# --- what is shown


def test_points_are_all_values_and_of_a_training_smoothed_as_well():
    found = collect([probed("run", vectors(0, 90))]).points()
    assert len(found) == 2 * 5
    assert found[0] == dict(
        run="run", compared="R-CNN heads", iteration=5, quantity="1:1", value=3.0, smoothed=pytest.approx(3)
    )
    measured = collect([probed("run", vectors(0, 90), every=1)], measured="2 images of train").points()
    assert measured[0] == dict(run="run", compared="R-CNN heads", batch=1, quantity="1:1", value=3.0)


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_one_run_has_a_curve_for_each_head_their_sum_and_the_sum_of_their_norms():
    figure = collect([probed("run", vectors(*rising()))]).draw()
    norms, angle = figure.axes
    assert legend_of(figure) == ["head 1:1", "head 1:9", "sum of the norms", "norm of the sum"]
    assert len(norms.lines) == 4
    assert len({line.get_color() for line in norms.lines}) == 4
    assert norms.lines[3].get_xdata()[[0, -1]].tolist() == [5, 250]
    assert len(norms.collections) == 4  # the bands
    assert norms.get_title() == "R-CNN heads, at layer4.0.conv1"
    assert {90} in [set(line.get_ydata()) for line in angle.lines]
    assert 90 < angle.get_ylim()[1] < 120


def test_runs_are_overlaid_by_colour():
    masked = [torch.cat([v, torch.tensor([[0.0, 2.0]])]) for v in vectors(*rising())]
    runs = [probed("first", masked, ("1to1", "1to9", "mask")), probed("other", vectors(*rising(30)))]
    with style.using("dark"):
        figure = collect(runs).draw()
        assert legend_of(figure) == ["first", "other", "norm of the sum", "sum of the norms"]
        heads, angle, branches, _ = figure.axes
        assert [line.get_color() for line in heads.lines] == [style.color(0)] * 2 + [style.color(1)] * 2
        assert len(angle.lines) == 2 + 1
        assert [line.get_color() for line in branches.lines] == [style.color(0)] * 2
    assert heads.get_xlim()[1] > 250


def test_what_was_measured_is_drawn_batch_by_batch_with_its_mean():
    figure = collect([probed("run", vectors(*rising()), every=1)], measured="64 images of train").draw()
    norms, angle = figure.axes
    assert [tick.get_text() for tick in norms.get_xticklabels()] == [
        "head 1:1", "head 1:9", "norm of\nthe sum", "sum of\nthe norms"
    ]  # fmt: skip
    assert [len(line.get_xdata()) for line in norms.lines] == [50, 1] * 4
    assert len(angle.lines[0].get_xdata()) == 50
    assert not figure.legends
    assert figure._supxlabel.get_text() == "batches out of 64 images of train"


def test_tables_name_runs_and_branches_where_there_are_several():
    (alone,) = collect([probed("run", vectors(0, 90))]).tables()
    assert alone.title == "gradients at layer4.0.conv1, while training: run"
    assert "run" not in alone.columns
    assert "compared" not in alone.columns
    assert alone.rows[0]["norms"] == "1:1 3, 1:9 4"
    (both,) = collect([probed(name, vectors(0, 90)) for name in ("a", "b")]).tables()
    assert (both.group, [row["run"] for row in both.rows]) == ("run", ["a", "b"])
