import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement, InstanceData

from rgacli.errors import UsageError
from rgacli.evaluation.detections import detections_by_variant
from rgacli.evaluation.tta import SCALES, TestTimeAugmentation, augmented
from tests.support import tiny

WIDTH = 100
VARIANTS = ("1to1", "1to9", "ensemble")
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1000, 600), keep_ratio=True),
    dict(type="Pad", size_divisor=32),
    dict(type="PackDetInputs", meta_keys=("img_id", "ori_shape")),
]


class Finding(torch.nn.Module):
    """Finds one box per variant and view, mirrored on flipped views; `keep` leaves those of the variants."""

    def __init__(self, keep=True):
        super().__init__()
        self.keep = keep

    def test_step(self, data):
        for sample in data["data_samples"]:
            found = {name: self.found(number, sample.flip) for number, name in enumerate(VARIANTS)}
            sample.pred_instances = found["ensemble"]
            if self.keep:
                sample.head_instances = BaseDataElement()
                for name, instances in found.items():
                    sample.head_instances.set_field(instances, name)
        return data["data_samples"]

    def found(self, number, flip):
        box, score = [10.0 + number, 5.0, 30.0, 25.0], 0.5 + 0.1 * number
        if flip:
            box[0], box[2], score = WIDTH - box[2], WIDTH - box[0], score + 0.05
        return InstanceData(bboxes=torch.tensor([box]), scores=torch.tensor([score]), labels=torch.tensor([number]))


def views(images=2):
    """What a dataloader yields of images that are looked at as they are and flipped."""
    samples = [
        [
            DetDataSample(
                metainfo=dict(img_id=i, ori_shape=(50, WIDTH), flip=flip, flip_direction="horizontal" if flip else None)
            )
            for i in range(images)
        ]
        for flip in (False, True)
    ]
    return dict(inputs=[[torch.zeros(3, 50, WIDTH)] * images] * 2, data_samples=samples)


def wrapped(module, **tta_model):
    init_default_scope("mmdet")
    cfg = Config(dict(model=dict(test_cfg=dict(rcnn=dict(nms=dict(type="nms", iou_threshold=0.5))))))
    if tta_model:
        cfg.tta_model = tta_model
    return TestTimeAugmentation().wrap(cfg, module)


def test_each_variant_is_merged_by_itself_in_the_images_own_pixels():
    samples = wrapped(Finding()).test_step(views())
    assert [sample.img_id for sample in samples] == [0, 1]
    for sample in samples:
        found = detections_by_variant(sample.to_dict())
        assert found.keys() == set(VARIANTS)
        for number, variant in enumerate(VARIANTS):
            own = found[variant]
            assert own["bboxes"].tolist() == [[10.0 + number, 5.0, 30.0, 25.0]]  # one of the two, flipped back
            assert own["scores"].tolist() == pytest.approx([0.55 + 0.1 * number])
            assert own["labels"].tolist() == [number]
        assert torch.equal(sample.pred_instances.scores, sample.head_instances.ensemble.scores)


def test_a_detector_that_keeps_no_heads_is_merged_as_mmdet_does():
    (sample,) = wrapped(Finding(keep=False)).test_step(views(1))
    assert detections_by_variant(sample.to_dict())["detector"]["scores"].tolist() == pytest.approx([0.75])


def test_the_configs_own_way_of_merging_is_taken():
    limit = dict(nms=dict(type="nms", iou_threshold=0.99), max_per_img=1)
    many = dict(limit, max_per_img=9)
    for tta_cfg, number in ((limit, 1), (many, 1)):
        (sample,) = wrapped(Finding(), type="DetTTAModel", tta_cfg=tta_cfg).test_step(views(1))
        assert len(sample.head_instances.ensemble) == number
    assert TestTimeAugmentation().pipeline(ConfigDict(tta_pipeline=["own"]), PIPELINE) == ["own"]
    with pytest.raises(UsageError, match="cannot be built"):
        wrapped(Finding(), type="NoSuchModel")


def test_by_default_the_detectors_own_limits_hold():
    cfg = tiny.tiny_config()
    cfg.model.test_cfg.rcnn.max_per_img = 321
    assert TestTimeAugmentation().settings(cfg).tta_cfg == dict(nms=cfg.model.test_cfg.rcnn.nms, max_per_img=321)


def test_masks_are_refused():
    module = Finding()
    module.with_mask = True
    with pytest.raises(UsageError, match="tta: it merges boxes"):
        wrapped(module)


def test_images_are_scaled_and_flipped_before_they_are_padded():
    before = [dict(step) for step in PIPELINE]
    loading, augment = augmented(PIPELINE)
    assert loading == PIPELINE[0]
    resizes, flips, pads, packs = augment["transforms"]
    assert [resize["scale"] for resize in resizes] == [(round(1000 * scale), round(600 * scale)) for scale in SCALES]
    assert [flip["prob"] for flip in flips] == [0, 1]
    assert (pads, packs[0]["type"]) == ([PIPELINE[2]], "PackDetInputs")
    assert packs[0]["meta_keys"] == ("img_id", "ori_shape", "flip", "flip_direction")
    assert before == PIPELINE


def test_an_image_that_is_not_resized_is_flipped_alone():
    _, augment = augmented([PIPELINE[0], *PIPELINE[2:]])
    assert [[step["type"] for step in steps] for steps in augment["transforms"]] == [
        ["RandomFlip", "RandomFlip"],
        ["Pad"],
        ["PackDetInputs"],
    ]


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        (dict(scale=500), dict(scale=(250, 250))),
        (dict(scale_factor=2.0), dict(scale_factor=1.0)),
        (dict(scale_factor=(2.0, 1.0)), dict(scale_factor=(1.0, 0.5))),
    ],
)
def test_sizes_are_scaled_however_they_are_given(resize, expected, monkeypatch):
    monkeypatch.setattr("rgacli.evaluation.tta.SCALES", (0.5,))
    _, augment = augmented([PIPELINE[0], dict(type="mmdet.Resize", **resize)])
    assert augment["transforms"][0] == [dict(type="mmdet.Resize", **expected)]
