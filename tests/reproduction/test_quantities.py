import math
from types import SimpleNamespace as Row

import pytest

from rgacli.reproduction.quantities import numbers_of


def result(*rows, **more):
    return Row(rows=rows, **more)


def test_an_evaluation_is_that_of_the_ensemble_and_of_each_head_in_percent():
    found = numbers_of(
        "evaluate", Row(heads={"1:1": {"AP": 0.25, "APs": math.nan}, "1:9": {"AP": 0.5}, "ensemble": {"AP": 0.75}})
    )
    assert found == {"1:1/AP": 25, "1:9/AP": 50, "ensemble/AP": 75, "AP": 75}


@pytest.mark.parametrize("head", ["1:3", "detector"])
def test_a_single_head_stands_for_the_detector(head):
    assert numbers_of("evaluate", Row(heads={head: {"mMR": 0.5}})) == {f"{head}/mMR": 50, "mMR": 50}


def bins_row(head, bin_, value, **more):
    return Row(**{"name": f"run {head}", "head": head, "bin": bin_, "AP": value, "AP50": value, "AP75": value, **more})


def test_bins_have_the_whole_without_a_bin_and_the_others_by_theirs():
    found = numbers_of(
        "gt_bins",
        result(
            bins_row("1:1", "all", 0.5, AP75=math.nan),
            bins_row("1:1", "8+", 0.25),
            bins_row("ensemble", "all", 0.75),
            bins_row("ensemble", "8+", math.nan),
        ),
    )
    assert found == {
        **{"1:1/AP": 50, "1:1/AP50": 50},
        **{"1:1/AP@8+": 25, "1:1/AP50@8+": 25, "1:1/AP75@8+": 25},
        **{f"{head}{metric}": 75 for head in ("", "ensemble/") for metric in ("AP", "AP50", "AP75")},
    }


def test_a_detector_without_heads_is_called_by_its_name_in_bins():
    found = numbers_of("gt_bins", result(bins_row("", "all", 0.5)))
    assert found == {key: 50 for metric in ("AP", "AP50", "AP75") for key in (metric, f"run /{metric}")}


def test_an_average_of_detectors_has_its_members_by_number():
    def row(name, value):
        return Row(name=name, AP=value, AP50=value, AP75=math.nan, bins={"8+": value / 2})

    found = numbers_of("ensemble", Row(members=[row("a", 0.25), row("b", 0.5)], methods=[row("ensemble", 0.75)]))
    assert found == {
        f"{name}{key}": value
        for name, whole in (("R1/", 25), ("R2/", 50), ("ensemble/", 75), ("", 75))
        for key, value in (("AP", whole), ("AP50", whole), ("AP@8+", whole / 2))
    }


def test_positives_are_numbers_and_shares_in_percent():
    row = Row(head="1:1", early=12.0, late=100.0, rise=88.0, early_share=0.05, late_share=math.nan)
    assert numbers_of("positives", result(row)) == {
        "positives/1:1/early": 12,
        "positives/1:1/late": 100,
        "positives/1:1/rise": 88,
        "positives/1:1/early_share": 5,
    }


def test_proposals_are_by_bin():
    row = Row(bin="8+", mean=30.0, per_object=2.5, pearson=0.9, spearman=None)
    assert numbers_of("proposals", result(row)) == {
        "proposals/8+/mean": 30,
        "proposals/8+/per_object": 2.5,
        "proposals/8+/pearson": 0.9,
    }


def accuracy_row(head, on, value):
    return Row(head=head, on=on, early=value, late=value + 1, whole=math.nan)


def test_accuracies_have_the_mean_of_heads_on_each_side():
    found = numbers_of(
        "accuracy",
        result(
            *(
                accuracy_row(head, on, value)
                for head, on, value in [
                    ("1:1", "positives", 40.0),
                    ("1:9", "positives", 20.0),
                    ("1:1", "negatives", 90.0),
                ]
            )
        ),
    )
    assert found == {
        **{"accuracy/1:1/positives/early": 40, "accuracy/1:1/positives/late": 41},
        **{"accuracy/1:9/positives/early": 20, "accuracy/1:9/positives/late": 21},
        **{"accuracy/mean/positives/early": 30, "accuracy/mean/positives/late": 31},
        **{"accuracy/1:1/negatives/early": 90, "accuracy/1:1/negatives/late": 91},
        **{"accuracy/mean/negatives/early": 90, "accuracy/mean/negatives/late": 91},
    }


def test_a_mean_that_is_among_the_rows_is_not_taken_again():
    rows = [accuracy_row("1:1", "positives", 40.0), accuracy_row("mean", "positives", 10.0)]
    assert numbers_of("accuracy", result(*rows))["accuracy/mean/positives/early"] == 10


def test_gradients_are_those_of_the_heads_of_which_a_share_cancels():
    found = numbers_of(
        "gradients",
        result(
            Row(compared="box and mask branch", ratio=0.1, angle=1.0, below=0.1),
            Row(compared="R-CNN heads", ratio=0.75, angle=80.0, below=1.0),
        ),
    )
    assert found == {"gradients/lost": 25, "gradients/angle": 80, "gradients/below": 100}


def test_scores_are_of_classes_by_head_by_two_heads_and_by_bin():
    rows = [
        Row(score="class", bin="all", heads=("1:1",), mean=0.5, share=0.25),
        Row(score="class", bin="all", heads=("1:1", "1:9"), mean=0.125, share=0.5),
        Row(score="class", bin="8+", heads=("1:1",), mean=0.75, share=math.nan),
        Row(score="foreground", bin="all", heads=("1:1",), mean=0.0, share=0.0),
    ]
    assert numbers_of("scores", result(*rows)) == {
        "scores/1:1/mean": 0.5,
        "scores/1:1/share": 25,
        "scores/1:1-1:9/mean": 0.125,
        "scores/1:1-1:9/share": 50,
        "scores/1:1@8+/mean": 0.75,
    }


def test_a_training_tells_no_numbers():
    assert numbers_of("train", Row()) == {}
