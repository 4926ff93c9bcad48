import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.errors import UsageError
from rgacli.evaluation.max_dets import MaxDets, default_max_dets, max_dets_for
from tests.support.dense import crowded

OFFICIAL = st.sampled_from([100, 500])
COUNTS = st.integers(0, 10_000)


@given(OFFICIAL, COUNTS)
def test_the_densest_image_can_be_found_whole(official, densest):
    assert default_max_dets(official, densest) >= max(official, densest)


@given(OFFICIAL, COUNTS)
def test_the_official_number_is_left_only_for_an_image_that_has_more_and_for_the_next_hundred(official, densest):
    number = default_max_dets(official, densest)
    assert (number == official) == (densest <= official)
    if number != official:
        assert number % 100 == 0
        assert number - 100 < densest


@given(OFFICIAL, COUNTS, COUNTS)
def test_a_denser_image_never_has_fewer(official, one, other):
    assert default_max_dets(official, min(one, other)) <= default_max_dets(official, max(one, other))


@pytest.mark.parametrize(
    ("counts", "asked", "expected"),
    [
        ([], None, MaxDets(100, "COCO", 100, 0, "official")),
        ([3, 100], None, MaxDets(100, "COCO", 100, 100, "official")),
        ([3, 101], None, MaxDets(200, "COCO", 100, 101, "densest")),
        ([3, 101], 100, MaxDets(100, "COCO", 100, 101, "official")),
        ([3, 101], 1, MaxDets(1, "COCO", 100, 101, "asked")),
        ([3], 300, MaxDets(300, "COCO", 100, 3, "asked")),
    ],
)
def test_the_number_and_why(counts, asked, expected):
    assert max_dets_for(crowded(counts), asked) == expected


def test_crowdhuman_has_its_own_number_and_crowds_are_no_objects():
    annotations = crowded([600])
    annotations["info"] = {"dataset": "crowdhuman"}
    assert max_dets_for(annotations) == MaxDets(600, "CrowdHuman", 500, 600, "densest")
    for entry in annotations["annotations"][:101]:
        entry["iscrowd"] = 1
    assert max_dets_for(annotations) == MaxDets(500, "CrowdHuman", 500, 499, "official")


@pytest.mark.parametrize("asked", [0, -100])
def test_some_detection_has_to_count(asked):
    with pytest.raises(UsageError, match=f"max_dets={asked}: it must be at least 1"):
        max_dets_for(crowded([1]), asked)
