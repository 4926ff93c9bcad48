import math

import pytest
import torch

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
