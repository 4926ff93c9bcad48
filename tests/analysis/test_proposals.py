import csv
import math
from dataclasses import astuple
from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData
from PIL import Image

from rgacli.analysis.finding import publish
from rgacli.analysis.proposals import count_positive_proposals, found_in
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


def test_table_summarises_each_bin():
    few, some, many = map(astuple, found_in(RECORDS, DEFAULT_BINS).rows)
    assert few == pytest.approx(("1-3", 4, 30, 17.5, 25, 37.5, (0.01 + 0.02 + 0.1 + 0.03) / 4))
    assert some[:2] == ("4-7", 0)
    assert all(map(math.isnan, some[2:]))
    assert many == pytest.approx(("8+", 2, 100, 50, 100, 150, 0.2))  # no share where there are no proposals


def test_figure_decodes_and_its_csv_holds_the_records_of_the_bins(tmp_path):
    publish(found_in(RECORDS, DEFAULT_BINS), tmp_path / "proposals.png")
    with Image.open(tmp_path / "proposals.png") as image:
        image.load()
        assert image.format == "PNG"
    with (tmp_path / "proposals.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row.pop("bin") for row in read] == ["1-3"] * 4 + ["8+"] * 2
    assert [{key: int(value) for key, value in row.items()} for row in read] == RECORDS[1:]


def test_figure_of_one_image_per_bin(tmp_path):
    publish(found_in(RECORDS[1:3], parse_bins("1,2")), tmp_path / "proposals.png")
    assert (tmp_path / "proposals.png").stat().st_size > 0


@pytest.mark.parametrize("records", [[], [record(1, 0, 0)]])
def test_nothing_to_draw(tmp_path, records):
    with pytest.raises(UsageError, match="no image falls into any bin"):
        publish(found_in(records, DEFAULT_BINS), tmp_path / "proposals.png")
