import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import TRANSFORMS, init_default_scope
from mmengine.structures import BaseDataElement, InstanceData

from rgacli.errors import UsageError
from rgacli.evaluation.detections import detections_by_variant
from rgacli.evaluation.tiled import TiledViews
from rgacli.evaluation.tiles import Tiling

pytest.importorskip("sahi")

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "scale_factor")),
]


class Centre(torch.nn.Module):
    """Finds the box in the middle of each input, in the image's pixels; the head 1:9 one of another class."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def test_step(self, data):
        self.batches.append([tuple(image.shape[1:]) for image in data["inputs"]])
        for sample in data["data_samples"]:
            height, width = sample.ori_shape
            box = torch.tensor([[width / 2 - 4, height / 2 - 4, width / 2 + 4, height / 2 + 4]])
            sample.head_instances = BaseDataElement()
            for label, variant in enumerate(("1to9", "ensemble")):
                found = InstanceData(bboxes=box, scores=torch.tensor([0.5]), labels=torch.tensor([label]))
                sample.head_instances.set_field(found, variant)
            sample.pred_instances = sample.head_instances.ensemble
        return data["data_samples"]


def test_images_of_any_number_of_tiles_are_detected_on_in_one_batch():
    init_default_scope("mmdet")
    views, model = TiledViews(Tiling(64, 0.25)), Centre()
    _, cutting = views.pipeline(None, PIPELINE)
    transform = TRANSFORMS.build(cutting)
    objects = [{"bbox": [0, 0, 9, 9], "bbox_label": 0, "ignore_flag": 0}]
    images = [
        transform({"img": np.zeros((*size, 3), np.uint8), "img_id": i, "img_path": "", "instances": objects})
        for i, size in enumerate(((64, 100), (40, 40)))
    ]
    wide, small = views.wrap(None, model).test_step(pseudo_collate(images))
    assert [(sample.img_id, sample.ori_shape) for sample in (wide, small)] == [(0, (64, 100)), (1, (40, 40))]
    assert sorted(map(len, model.batches)) == [1, 1, 2]  # the whole, the small image, two tiles of one size
    for label, variant in enumerate(("1to9", "ensemble")):
        found = detections_by_variant(wide.to_dict())[variant]
        assert sorted(box[0] for box in found["bboxes"].tolist()) == [28, 46, 64]  # in px 0-64, 0-100 and 36-100
        assert set(found["labels"].tolist()) == {label}
        assert detections_by_variant(small.to_dict())[variant]["bboxes"].tolist() == [[16, 16, 24, 24]]
    assert isinstance(wide, DetDataSample)


def test_a_tiling_tells_itself_from_others_and_refuses_masks():
    assert TiledViews(Tiling(64, 0.25)).name == "tiles-64-0.25"
    model = Centre()
    model.with_mask = True
    with pytest.raises(UsageError, match="tiles: it merges boxes"):
        TiledViews(Tiling(64)).wrap(None, model)
