"""Norm layers folded into convolutions, for detecting alone."""

import copy

import pytest
import torch
from mmcv.cnn import is_norm

from rgacli.modeling.fusing import fuse
from tests.support import tiny


@pytest.fixture
def detector():
    model = tiny.build(tiny.tiny_config().model)
    with torch.no_grad():
        for _ in range(3):  # statistics of the batch norms
            tiny.losses(model, tiny.batch())
    return tiny.scramble(model).eval()


def test_a_fused_detector_has_the_same_features_without_norm_layers(detector):
    x = torch.randn(2, 3, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = detector.extract_feat(x)
        fused = fuse(copy.deepcopy(detector))
        for a, b in zip(expected, fused.extract_feat(x), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4 * a.abs().max().item())
    assert not any(map(is_norm, fused.backbone.modules()))
    assert any(map(is_norm, detector.backbone.modules()))


def test_what_still_learns_is_left_alone(detector):
    before = list(detector.state_dict())
    assert list(fuse(detector.train()).state_dict()) == before


def test_what_is_no_resnet_is_left_alone(detector):
    detector.backbone.__class__ = type("Other", (torch.nn.Module,), {})
    before = list(detector.state_dict())
    assert list(fuse(detector).state_dict()) == before
