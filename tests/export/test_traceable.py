import pytest
import torch
from mmengine.config import ConfigDict

from rgacli.export.parity import compare_detections
from rgacli.export.traceable import TraceableDetector
from tests.support import families
from tests.support.tracing import FAMILIES, MASKS, batch, mmdets_own, of_graph, scrambled


def traced(model, *sizes):
    """What the model finds as a graph."""
    with torch.no_grad():
        return of_graph(TraceableDetector(model).eval()(*batch(*sizes)), *sizes)


def assert_same(model, *sizes):
    expected, found = mmdets_own(model, *sizes), traced(model, *sizes)
    for own in found:
        assert len(own) > 5
        assert (own.scores[:-1] >= own.scores[1:]).all()
        assert (own.masks is not None) == model.roi_head.with_mask
    parity = compare_detections(found, expected)
    assert parity.within(1e-3, 1e-5)
    assert parity.masks == 0


@pytest.mark.parametrize("sizes", [[(70, 100)], [(64, 64)] * 3, [(70, 100), (33, 129), (90, 64)]])
@pytest.mark.parametrize("name", FAMILIES + MASKS)
def test_it_detects_what_mmdets_inference_does(name, sizes):
    assert_same(scrambled(families.family(name)), *sizes)


@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("name", [FAMILIES[0], FAMILIES[2]])
def test_boxes_by_class_and_for_all_classes(name, agnostic):
    cfg = families.family(name)
    heads = cfg.model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.reg_class_agnostic = agnostic
    assert_same(scrambled(cfg), (70, 100))


@pytest.mark.parametrize(
    "settings",
    [
        {"rpn_head.loss_cls": dict(type="CrossEntropyLoss", use_sigmoid=False)},
        {"rpn_head.bbox_coder.clip_border": False},
        {"data_preprocessor": dict(type="DetDataPreprocessor", bgr_to_rgb=False, pad_size_divisor=1)},
        {"data_preprocessor.pad_value": 7},
        {"test_cfg.rpn.min_bbox_size": 12},
        {"test_cfg.rcnn.max_per_img": 6},
        {"test_cfg.rcnn.max_per_img": -1},
    ],
)
def test_settings_are_followed(settings):
    cfg = families.family(FAMILIES[0])
    cfg.model = ConfigDict(cfg.model)
    cfg.merge_from_dict({f"model.{key}": value for key, value in settings.items()})
    if "data_preprocessor" in settings:
        cfg.model.data_preprocessor = ConfigDict(settings["data_preprocessor"])
    assert_same(scrambled(cfg), (70, 100), (50, 60))


def test_nothing_found_is_no_error():
    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.test_cfg.score_thr = 1.0
    assert list(map(len, traced(model, (64, 64), (32, 64)))) == [0, 0]


def test_rows_beyond_an_images_detections_are_empty():
    model = TraceableDetector(scrambled(families.family(MASKS[0]))).eval()
    images = batch((70, 100), (64, 64), (20, 30))
    cfg = model.model.roi_head.test_cfg
    with torch.no_grad():
        cfg.score_thr = model(*images)[2].median().item()
        number, *rows = model(*images)
    assert len(set(number.tolist())) > 1
    for count, boxes, scores, labels, masks in zip(number, *rows, strict=True):
        assert len(boxes) == len(scores) == len(labels) == len(masks) == cfg.max_per_img
        assert (scores[:count] > cfg.score_thr).all()
        assert (masks[:count] > 0).any(dim=2).any(dim=1).all()
        for filling in (boxes, scores, labels + 1, masks):
            assert not filling[count:].any()


@pytest.mark.parametrize("agnostic", [True, False])
def test_masks_by_class_and_for_all_classes(agnostic):
    cfg = families.family(MASKS[0])
    cfg.model.roi_head.mask_head.class_agnostic = agnostic
    assert_same(scrambled(cfg), (70, 100))
