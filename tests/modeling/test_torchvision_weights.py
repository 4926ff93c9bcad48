"""torchvision's detectors under mmdet's names: every part gives what it gave."""

import pytest
import torch
from torchvision.models.detection import MaskRCNN, backbone_utils

from rgacli.config.files import load_config
from rgacli.errors import UsageError
from rgacli.modeling.source_weights import read_source
from rgacli.modeling.torchvision_weights import from_torchvision, torchvision_classes
from rgacli.modeling.transfer import fit_config, transfer
from tests.support import tiny

CLASSES = 3


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A Mask R-CNN of torchvision's, of random weights, and mmdet's that starts from it."""
    torch.manual_seed(0)
    backbone = backbone_utils.resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    theirs = MaskRCNN(backbone, num_classes=CLASSES + 1).eval()
    for name, value in theirs.state_dict().items():
        if "bn" in name or "downsample.1" in name:  # frozen statistics are all 0 and 1
            value.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("torchvision") / "mask.pth"
    torch.save(theirs.state_dict(), path)
    cfg = load_config("mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py")
    cfg.model.backbone.depth = 18
    cfg.model.neck.in_channels = [64, 128, 256, 512]
    cfg.model.roi_head.bbox_head.num_classes = cfg.model.roi_head.mask_head.num_classes = CLASSES
    source = read_source(path, cascade=False)
    told = fit_config(cfg, source)
    assert "torchvision's" in told[-1]
    ours = tiny.build(cfg.model).eval()
    found = transfer(source, ours, (), ("a", "b", "c"))
    assert not found.fresh
    assert not found.ignored
    assert found.kept is None
    ours.load_state_dict(found.weights)
    return theirs, ours


def test_the_same_features_and_proposals(both):
    theirs, ours = both
    image = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        expected = list(theirs.backbone(image).values())
        found = ours.extract_feat(image)
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * one.abs().max().item())
        for theirs_by_level, ours_by_level in zip(theirs.rpn.head(expected), ours.rpn_head(found), strict=True):
            for one, other in zip(theirs_by_level, ours_by_level, strict=True):
                torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3 * one.abs().max().item())


def test_the_same_scores_boxes_and_masks_of_the_same_rois(both):
    theirs, ours = both
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(1, 256, 96 // stride, 128 // stride, generator=generator) for stride in (4, 8, 16, 32)]
    boxes = torch.tensor([[4.0, 6, 30, 40], [10, 10, 110, 90], [0, 0, 20, 16], [50, 20, 90, 30]])
    by_name = dict(zip("0123", x, strict=True))
    heads, rois = theirs.roi_heads, torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
    with torch.no_grad():
        pooled = heads.box_head(heads.box_roi_pool(by_name, [boxes], [(96, 128)]))
        logits, deltas = heads.box_predictor(pooled)
        masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(by_name, [boxes], [(96, 128)])))
        found = ours.roi_head._bbox_forward(x, rois)
        own_masks = ours.roi_head._mask_forward(x, rois)["mask_preds"]
    torch.testing.assert_close(found["cls_score"], torch.cat([logits[:, 1:], logits[:, :1]], 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["bbox_pred"], deltas[:, 4:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own_masks, masks[:, 1:], rtol=1e-4, atol=1e-5)
    assert logits.std() > 1e-3


def test_the_same_boxes_of_the_same_regression(both):
    """That mmdet's coder means by a regression what torchvision's does."""
    theirs, ours = both
    boxes = torch.tensor([[4.0, 6, 30, 40], [10, 10, 110, 90]])
    deltas = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    expected = theirs.roi_heads.box_coder.decode(deltas, [boxes])[:, 0]
    torch.testing.assert_close(ours.roi_head.bbox_head.bbox_coder.decode(boxes, deltas), expected)


def test_its_own_files_are_of_coco():
    weights = {"roi_head.bbox_head.fc_cls.bias": torch.zeros(91)}
    classes = torchvision_classes(weights)
    assert len(classes) == 90
    assert classes[0] == "person"
    assert classes[89] == "toothbrush"
    assert torchvision_classes({"roi_head.bbox_head.fc_cls.bias": torch.zeros(4)}) is None


def test_layers_that_mmdet_has_not_are_refused_by_name():
    with pytest.raises(UsageError, match=r"roi_heads\.box_head\.0\.0\.weight.*not v2"):
        from_torchvision({"roi_heads.box_head.0.0.weight": torch.zeros(1)})
