import pytest

from rgacli.errors import UsageError
from rgacli.export.exported_head import ExportedHead
from tests.support import tiny

HEADS = {
    "ensemble": ("ensemble", "ensemble", None, "fold", "all heads folded into one"),
    "1:9": ("1to9", "1:9", 1, "1to9", "1:9"),
    "0": ("1to1", "1:1", 0, "1to1", "1:1"),
}


@pytest.mark.parametrize("named", HEADS)
def test_a_head_is_named_by_its_ratio_or_index_and_all_by_their_ensemble(named):
    variant, name, index, stem, text = HEADS[named]
    head = ExportedHead.of(tiny.tiny_config(ratios=["1:1", "1:9"]), named)
    assert head == ExportedHead(variant, name, index, parallel=True)
    assert (head.file_stem, str(head)) == (stem, text)


def test_a_single_parallel_head_folds_or_is_taken():
    cfg = tiny.tiny_config(ratios=["1:3"])
    whole, alone = ExportedHead.of(cfg, "ensemble"), ExportedHead.of(cfg, "0")
    assert (whole.name, whole.index, whole.file_stem) == ("1:3", None, "fold")
    assert (alone.name, alone.index, alone.file_stem) == ("1:3", 0, "1to3")


@pytest.mark.parametrize("named", ["ensemble", "0", "detector"])
def test_a_detector_without_parallel_heads_is_whole(named):
    head = ExportedHead.of(tiny.stock_config(), named)
    assert (head.name, head.index, head.parallel, head.file_stem) == ("detector", None, False, "detector")


@pytest.mark.parametrize(
    ("named", "complaint"),
    [("all", "head=all: an export is of one head, or of their ensemble"), ("1:5", "head=1:5: this detector has 1:1")],
)
def test_what_is_no_single_head_is_refused(named, complaint):
    with pytest.raises(UsageError, match=complaint):
        ExportedHead.of(tiny.tiny_config(ratios=["1:1", "1:9"]), named)
