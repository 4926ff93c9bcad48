import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from PIL import Image
from scipy import stats

from rgacli.analysis.finding import publish
from rgacli.analysis.proposals.collecting import count_positive_proposals
from rgacli.analysis.proposals.finding import found_in
from rgacli.analysis.proposals.rows import Counted
from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import DEFAULT_BINS, parse_bins


def record(image, gt_count, positives, proposals=1000):
    return {"image_id": image, "gt_count": gt_count, "proposals": proposals, "positives": positives}


RECORDS = [
    record(1, 0, 0),
    record(2, 1, 10),
    record(3, 2, 20),
    record(4, 3, 60, proposals=600),
    record(5, 3, 30),
    record(6, 9, 200),
    record(7, 12, 0, proposals=0),
]


def proposing(*proposals):
    """A detector whose RPN finds these boxes, per image."""
    found = [InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4)) for boxes in proposals]
    return SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        extract_feat=lambda inputs: None,
        rpn_head=SimpleNamespace(predict=lambda features, samples, rescale: found),
    )


def test_proposals_that_overlap_any_object_by_half_are_counted():
    model = proposing(
        [(0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9), (40, 40, 50, 50), (80, 80, 90, 90)],
        [(0, 0, 10, 10)],
        [],
    )
    truth = {
        7: torch.tensor([[0.0, 0, 10, 10], [40, 40, 50, 52]]),
        8: torch.zeros(0, 4),
        9: torch.tensor([[0.0, 0, 10, 10]]),
    }
    samples = [SimpleNamespace(metainfo=dict(img_id=number)) for number in truth]
    assert list(count_positive_proposals(model, [dict(inputs=None, data_samples=samples)], truth)) == [
        dict(image_id=7, gt_count=2, proposals=5, positives=3),
        dict(image_id=8, gt_count=0, proposals=1, positives=0),
        dict(image_id=9, gt_count=1, proposals=0, positives=0),
    ]


def found(*counted):
    """What is found in records, by default those of one checkpoint of one run."""
    return found_in(counted or [Counted("mine", "epoch 6", RECORDS)], DEFAULT_BINS, split="test")


def with_positives(number_of):
    """Records of 40 images with 1 to 10 objects each."""
    return [record(image, gt_count, number_of(image, gt_count)) for image, gt_count in enumerate([*range(1, 11)] * 4)]


def test_rows_summarise_all_images_and_each_bin():
    overall, few, some, many = found().rows
    assert (overall.bin, overall.images, overall.mean) == ("all", 6, pytest.approx(320 / 6))  # without the empty one
    assert overall.per_object == pytest.approx(320 / 30)
    x, y = [1, 2, 3, 3, 9, 12], [10, 20, 60, 30, 200, 0]
    assert overall.pearson == pytest.approx(stats.pearsonr(x, y).statistic)
    assert overall.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
    quartiles = (few.lower_quartile, few.median, few.upper_quartile)
    assert (few.bin, few.images, few.mean, *quartiles) == pytest.approx(("1-3", 4, 30, 17.5, 25, 37.5))
    assert few.share == pytest.approx((0.01 + 0.02 + 0.1 + 0.03) / 4)
    assert (some.bin, some.images) == ("4-7", 0)
    assert math.isnan(some.mean)
    assert math.isnan(some.median)
    assert (many.images, many.mean, many.median, many.share) == pytest.approx(
        (2, 100, 100, 0.2)
    )  # one has no proposals


def test_the_conclusion_says_whether_positives_go_with_objects():
    rng = np.random.default_rng(0)
    more = found(Counted("mine", "epoch 6", with_positives(lambda image, count: 5 * count + 9 * (image % 3))))
    assert "8+ objects; 6." in more.conclusion()
    assert "more objects, more positives (Spearman's 0.9" in more.conclusion()
    same = found(Counted("mine", "epoch 6", with_positives(lambda image, count: int(rng.integers(100)))))
    assert "whether their number goes with that of objects cannot be told" in same.conclusion()


def test_the_conclusion_follows_the_same_images_through_the_checkpoints():
    first = Counted("mine", "initial", with_positives(lambda image, count: 5 * count))
    last = Counted("mine", "epoch 6", with_positives(lambda image, count: 6 * count + 1)[::-1])
    assert found(first, last).conclusion().endswith("; per image +6.5 (95 %: +5.6 to +7.4) from initial to epoch 6")
    again = Counted("mine", "epoch 7", with_positives(lambda image, count: 5 * count + (-1) ** (image // 10)))
    assert (
        found(first, again)
        .conclusion()
        .endswith("; per image 0.0, within its interval (95 %: −0.3 to +0.3) from initial to epoch 7")
    )


def test_tables_show_the_last_checkpoint_by_bin_and_every_one_as_a_whole():
    checkpoints = [Counted("mine", name, RECORDS) for name in ("initial", "epoch 6")]
    by_bin, relation = found(*checkpoints).tables()
    assert by_bin.title.endswith("mine on test, epoch 6")
    assert [row["bin"] for row in by_bin.rows] == ["all", "1-3", "4-7", "8+"]
    assert [row["checkpoint"] for row in relation.rows] == ["initial", "epoch 6"]
    assert "checkpoint" not in found().tables()[1].columns


def test_its_csv_holds_the_records_of_images_with_objects_and_where_they_come_from():
    points = found().points()
    assert [(point.pop("run"), point.pop("checkpoint")) for point in points] == [("mine", "epoch 6")] * 6
    assert [point.pop("bin") for point in points] == ["1-3"] * 4 + ["8+"] * 2
    assert points == RECORDS[1:]
    gap = found_in([Counted("mine", "last", RECORDS)], parse_bins("1-2"), split="test")
    assert sorted(point["bin"] for point in gap.points()) == [""] * 4 + ["1-2"] * 2


def test_one_run_is_drawn_by_bin_and_its_checkpoints_by_epoch():
    later = [Counted("mine", f"epoch {epoch}", with_positives(lambda image, count: count)) for epoch in (10, 2)]
    figure = found(Counted("mine", "initial", with_positives(lambda image, count: 0)), *later).draw()
    images, boxes, history, relation = figure.axes
    assert [tick.get_text() for tick in boxes.get_xticklabels()] == ["1-3\n(12)", "4-7\n(16)", "8+\n(12)"]
    assert [line.get_xdata().tolist() for line in history.lines] == [[0, 2, 10]] * 3
    assert [line.get_ydata().tolist() for line in history.lines] == [[0, 2, 2], [0, 5.5, 5.5], [0, 9, 9]]
    assert relation.lines[0].get_ydata()[1:].tolist() == pytest.approx([1, 1])
    assert len({line.get_color() for line in images.lines}) == 4  # of three bins, and the line


def test_checkpoints_that_are_no_epochs_stand_in_the_order_they_were_named_in():
    names = ["initial", "best", "epoch 6"]
    *_, relation = found(*[Counted("mine", name, RECORDS) for name in names]).draw().axes
    assert [tick.get_text() for tick in relation.get_xticklabels()] == names


def test_several_runs_are_drawn_side_by_side():
    figure = found(*[Counted(name, "epoch 6", RECORDS) for name in ("one", "two $x$")]).draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two $x$"]
    assert len(figure.axes) == 2


@pytest.mark.slow
def test_figure_of_one_image_per_bin_is_saved(tmp_path):
    one_each = found_in([Counted("mine", "last", RECORDS[1:3])], parse_bins("1,2"), split="test")
    publish(one_each, tmp_path / "proposals.png")
    with Image.open(tmp_path / "proposals.png") as image:
        image.load()
        assert image.format == "PNG"


@pytest.mark.parametrize("records", [[], [record(1, 0, 0)]])
def test_nothing_to_draw(tmp_path, records):
    with pytest.raises(UsageError, match="no image falls into any bin"):
        publish(found(Counted("mine", "last", records)), tmp_path / "proposals.png")
