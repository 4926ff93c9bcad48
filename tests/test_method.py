import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.errors import UsageError
from rgacli.method import (
    PRM,
    RGA,
    SamplingRatio,
    box_head_index,
    head_names,
    parse_head_name,
    parse_ratios,
    select_variants,
    slug,
    unslug,
)

RATIOS = st.builds(SamplingRatio, st.integers(1, 99), st.integers(1, 99))
PLAN = st.lists(RATIOS, min_size=1, max_size=6)
LAMBDA0 = st.floats(1, 100)


@given(ratio=RATIOS)
def test_a_ratio_reads_back_what_it_prints(ratio):
    assert SamplingRatio.parse(str(ratio)) == ratio


@pytest.mark.parametrize(("text", "fraction"), [("1:1", 0.5), ("1:3", 0.25), ("1:9", 0.1), (" 2 : 6 ", 0.25)])
def test_positive_fraction_is_p_over_p_plus_n(text, fraction):
    assert SamplingRatio.parse(text).positive_fraction == fraction


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1:0", "without negatives"),
        ("0:1", "without positives"),
        ("abc", "POSITIVES:NEGATIVES"),
        ("", "POSITIVES:NEGATIVES"),
        ("1:-1", "POSITIVES:NEGATIVES"),
        ("1.5:1", "POSITIVES:NEGATIVES"),
        ("1:9:9", "POSITIVES:NEGATIVES"),
        ("1", "POSITIVES:NEGATIVES"),
        ("1:1234567", "POSITIVES:NEGATIVES"),
    ],
)
def test_what_is_no_ratio_is_refused_in_one_line_that_quotes_it(text, complaint):
    with pytest.raises(UsageError) as error:
        SamplingRatio.parse(text)
    message = str(error.value)
    assert complaint in message
    assert f"'{text}'" in message
    assert "\n" not in message


def test_a_plan_is_parsed_from_text_or_from_a_sequence():
    heads = (SamplingRatio(1, 1), SamplingRatio(1, 9))
    assert parse_ratios("1:1,1:9") == heads
    assert parse_ratios(["1:1", "1:9"]) == heads


@pytest.mark.parametrize("text", ["", ",", "1:1,", "1:1,,1:9", []])
def test_a_plan_with_a_gap_is_refused(text):
    with pytest.raises(UsageError, match="sampling ratio"):
        parse_ratios(text)


@given(ratios=PLAN)
def test_a_heads_name_tells_its_ratio(ratios):
    assert list(map(parse_head_name, head_names(ratios))) == ratios


@pytest.mark.parametrize(
    "name", ["", "ensemble", "1", "1:0", "0:9", "01:9", "1:9#", "1:9 ", "run 1:9", "1:9:9", "1to9"]
)
def test_any_other_name_is_no_heads(name):
    assert parse_head_name(name) is None


def test_a_repeated_ratio_gets_a_running_number():
    assert head_names(parse_ratios("1:1,1:9,1:1,1:1")) == ("1:1", "1:9", "1:1#2", "1:1#3")


@given(plan=PLAN)
def test_names_and_slugs_are_distinct_and_slugs_are_fit_for_file_names_and_tags(plan):
    names = head_names(plan)
    slugs = [slug(name) for name in names]
    assert len(set(names)) == len(set(slugs)) == len(plan)
    assert all(text.replace("_", "").isalnum() for text in slugs)
    assert [unslug(text) for text in slugs] == list(names)


@pytest.mark.parametrize("variant", ["ensemble", "detector", "average-probs", "tilt+2", "to", "1to", "a1to9"])
def test_what_is_no_slug_of_a_head_keeps_its_name(variant):
    assert unslug(variant) == variant


def test_slug_of_the_papers_heads():
    assert [slug(name) for name in head_names(parse_ratios("1:1,1:9,1:9"))] == ["1to1", "1to9", "1to9_2"]


@given(plan=PLAN)
def test_the_boxes_come_from_the_first_head_with_the_highest_positive_fraction(plan):
    chosen = box_head_index(plan)
    fractions = [ratio.positive_fraction for ratio in plan]
    assert all(fraction < fractions[chosen] for fraction in fractions[:chosen])
    assert all(fraction <= fractions[chosen] for fraction in fractions[chosen:])


def test_equal_fractions_written_differently_tie():
    assert box_head_index(parse_ratios("1:9,2:6,1:3,10:30")) == 1


# --- RGA


@given(lambda0=LAMBDA0, total=st.integers(1, 10**6))
def test_lambda_starts_at_lambda0_and_would_reach_1_after_the_last_step(lambda0, total):
    assert RGA(lambda0).at(0, total) == lambda0
    assert RGA(lambda0).at(total, total) == pytest.approx(1)


@given(lambda0=LAMBDA0, total=st.integers(2, 10**6), data=st.data())
def test_lambda_falls_in_equal_steps_and_never_below_1(lambda0, total, data):
    step = data.draw(st.integers(0, total - 2))
    now, after = RGA(lambda0).at(step, total), RGA(lambda0).at(step + 1, total)
    assert 1 <= after <= now <= lambda0
    assert now - after == pytest.approx((lambda0 - 1) / total, abs=1e-9)


@given(lambda0=LAMBDA0, total=st.integers(1, 1000), data=st.data())
def test_without_annealing_lambda_stays(lambda0, total, data):
    assert RGA(lambda0, "none").at(data.draw(st.integers(0, total - 1)), total) == lambda0


def test_lambda_is_appendix_bs_weight():
    assert [RGA().at(t, 90000) for t in (0, 45000, 89999)] == [7, 4, pytest.approx(7 - 6 * 89999 / 90000)]


@pytest.mark.parametrize("lambda0", [0.99, 0, -7, math.nan, math.inf, "seven", None])
def test_a_lambda0_out_of_range_is_refused(lambda0):
    with pytest.raises(UsageError, match=rf"^lambda0={lambda0}: it must be a finite number, at least 1 \(no RGA\);"):
        RGA(lambda0)


def test_an_unknown_way_of_annealing_is_refused():
    with pytest.raises(UsageError, match="anneal=cosine: it can be linear or none"):
        RGA(7, "cosine")


# --- PRM


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (dict(sampling="medium"), "sampling=medium: it can be soft or hard."),
        (dict(head_loss="max"), "head_loss=max: it can be sum or mean."),
        (dict(draws="disjoint"), "draws=disjoint: it can be independent or nested."),
        (
            dict(draws="nested", sampling="hard"),
            "draws=nested is defined for soft sampling only, not with sampling=hard.",
        ),
        (dict(ratios=()), "ratios: one per head is needed, such as 1:1,1:9."),
    ],
)
def test_parallel_modules_that_cannot_be_are_refused(settings, complaint):
    with pytest.raises(UsageError) as error:
        PRM(**{"ratios": parse_ratios("1:1"), **settings})
    assert str(error.value) == complaint


@pytest.mark.parametrize("settings", [dict(sampling="hard"), dict(draws="nested")])
def test_hard_sampling_and_nested_draws_are_random_samplers(settings):
    PRM(parse_ratios("1:1"), **settings).require_sampler("mmdet.RandomSampler")
    ((name, value),) = settings.items()
    with pytest.raises(
        UsageError, match=f"^{name}={value} is defined for RandomSampler only; this config samples by X"
    ):
        PRM(parse_ratios("1:1"), **settings).require_sampler("X")


def test_soft_sampling_is_any_samplers():
    PRM(parse_ratios("1:1")).require_sampler("OHEMSampler")


# --- choosing heads

NAMES = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


@pytest.mark.parametrize(
    ("head", "variants"),
    [
        ("ensemble", ["ensemble"]),
        ("all", ["1to1", "1to9", "ensemble"]),
        ("1:9", ["1to9"]),
        ("0", ["1to1"]),
        ("1", ["1to9"]),
    ],
)
def test_a_head_is_chosen_by_ratio_or_index(head, variants):
    assert select_variants(head, NAMES) == variants


@pytest.mark.parametrize("head", ["1:7", "2", "-1", "", "1to9", "²"])
def test_an_unknown_head_is_answered_by_those_there_are(head):
    with pytest.raises(UsageError, match=r"this detector has 1:1, 1:9 \(or their index 0 to 1\)"):
        select_variants(head, NAMES)


def test_the_ensemble_of_a_single_head_is_that_head():
    assert select_variants("ensemble", {"1to3": "1:3"}) == ["1to3"]
