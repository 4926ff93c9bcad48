import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import DEFAULT_BINS, GTBin, assign, bins_text, parse_bins


@st.composite
def bin_sets(draw):
    """Ascending bins without overlap, the last one perhaps open-ended."""
    edges = sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=10)))
    bins = [GTBin(low, high) for low, high in zip(edges[::2], edges[1::2], strict=False)]
    if len(edges) % 2:
        bins.append(GTBin(edges[-1], draw(st.sampled_from([None, edges[-1], 99]))))
    return tuple(bins)


def test_the_default_is_the_documented_one():
    assert list(DEFAULT_BINS) == [GTBin(1, 3), GTBin(4, 7), GTBin(8)]


@pytest.mark.parametrize(
    ("text", "bins"),
    [
        ("5", [GTBin(5, 5)]),
        ("1-3,8+", [GTBin(1, 3), GTBin(8)]),
        (" 4-7 , 1-3", [GTBin(1, 3), GTBin(4, 7)]),
        ("1+", [GTBin(1)]),
        ("2-2", [GTBin(2, 2)]),
    ],
)
def test_what_users_write(text, bins):
    assert parse_bins(text) == tuple(bins)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no bin"),
        ("1-3,,8+", "'' is no bin"),
        ("1-3;8+", "is no bin"),
        ("few", "'few' is no bin"),
        ("-3", "is no bin"),
        ("1-3+", "is no bin"),
        ("1.5-3", "is no bin"),
        ("٣", "is no bin"),
        ("9" * 5000, "is no bin"),
        ("0-3", "'0-3' starts below 1"),
        ("0+", "starts below 1"),
        ("7-4", "'7-4' is reversed"),
        ("1-3,3-5", "'1-3' and '3-5' overlap"),
        ("8+,9", "'8+' and '9' overlap"),
        ("1-9,2-3", "overlap"),
        ("5,5", "overlap"),
    ],
)
def test_what_is_refused_in_one_line(text, complaint):
    with pytest.raises(UsageError) as error:
        parse_bins(text)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@given(bin_sets())
def test_labels_read_back(bins):
    assert parse_bins(bins_text(bins)) == bins


@given(bin_sets(), st.dictionaries(st.integers(0, 10**12), st.integers(0, 120)))
def test_every_image_is_in_the_one_bin_that_holds_its_count(bins, counts):
    groups = assign(counts, bins)
    assert list(groups) == [gt_bin.label for gt_bin in bins]
    for image, count in counts.items():
        holders = [gt_bin.label for gt_bin in bins if gt_bin.low <= count <= (gt_bin.high or 10**9)]
        assert [label for label, images in groups.items() if image in images] == holders
        assert len(holders) <= 1


def test_images_without_objects_form_no_bin():
    assert assign({1: 0, 2: 1, 3: 8, 4: 300}, DEFAULT_BINS) == {"1-3": [2], "4-7": [], "8+": [3, 4]}
