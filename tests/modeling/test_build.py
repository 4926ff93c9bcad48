import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData

from rgacli.analysis.proposals import count_positive_proposals
from rgacli.errors import UsageError
from rgacli.modeling.build import build_detector, try_detector
from tests.support import tiny


def test_a_detector_is_built_for_use_with_a_checkpoints_weights(finished_run, tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path)
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint="torchvision://resnet18")  # must not be fetched
    path = finished_run / "checkpoints/epoch_3.pth"
    model = build_detector(cfg, path)
    assert not model.training
    expected = torch.load(path, weights_only=True)["state_dict"]["backbone.conv1.weight"]
    assert torch.equal(model.backbone.conv1.weight, expected)
    assert cfg.model.backbone.init_cfg.type == "Pretrained"


def test_another_models_checkpoint_is_refused(finished_run):
    with pytest.raises(UsageError, match="does not fit the config"):
        build_detector(tiny.tiny_config(ratios=["1:1"]), finished_run / "checkpoints/epoch_3.pth")


def test_without_a_checkpoint_the_weights_are_initialised_as_the_config_says():
    model = build_detector(tiny.tiny_config())
    assert model.roi_head.bbox_head[0].fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.5)
    assert not model.training


def test_the_installation_is_tried_by_a_step_and_a_prediction():
    found = try_detector(tiny.tiny_config(), tiny.SIZE)
    assert found.keys() == {"loss", "gradient"}
    assert all(math.isfinite(value) and value > 0 for value in found.values())


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
