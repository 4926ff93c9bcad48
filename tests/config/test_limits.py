import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.config.catalogue import LITE, QUICKSTART
from rgacli.config.files import load_config
from rgacli.config.limits import PROPOSALS, most_objects, raised_limits, set_limits

MASKS = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
CASCADE = "cascade-rcnn_r50_fpn_rga-prm"
CROWDHUMAN = "faster-rcnn_r50_fpn_prm_8xb2-30e_crowdhuman"
ONE_STAGE = "retinanet_r101_fpn_1x_coco"
NUMBER = st.integers(1, 5000)
LIMIT = st.sampled_from([None, -1, 0]) | NUMBER


@given(LIMIT, LIMIT, NUMBER)
def test_what_is_raised_holds_as_many_boxes_and_nothing_is_lowered(kept, given, least):
    limits = {key: value for key, value in (("max_per_img", kept), ("nms_pre", given)) if value is not None}
    raised = {**limits, **raised_limits(limits, least)}
    assert raised.keys() == limits.keys()
    for name, before in limits.items():
        if before > 0:
            assert raised[name] >= max(least, before)
        else:  # none
            assert raised[name] == before
    assert raised_limits(raised, least) == {}


@given(NUMBER, NUMBER, NUMBER)
def test_where_nms_keeps_more_it_is_given_more_by_as_much(kept, given, least):
    raised = raised_limits({"max_per_img": kept, "nms_pre": given}, least)
    if "max_per_img" in raised:
        assert raised.get("nms_pre", given) / least >= given / kept


@pytest.mark.parametrize("name", [QUICKSTART, LITE, CASCADE, CROWDHUMAN, MASKS, ONE_STAGE])
@pytest.mark.parametrize("max_dets", [1, 100])
def test_up_to_what_coco_counts_a_config_stays_as_it_is(name, max_dets):
    cfg = load_config(name)
    before = copy.deepcopy(cfg.model)
    assert set_limits(cfg, max_dets, training=True) is None
    assert cfg.model == before


@pytest.mark.parametrize("name", [QUICKSTART, LITE, CASCADE, MASKS])
def test_a_two_stage_detector_gets_room_for_detections_and_twice_as_many_proposals(name):
    cfg = load_config(name)
    assert most_objects(cfg) == 100
    told = set_limits(cfg, 700)
    test_cfg, train_cfg = cfg.model.test_cfg, cfg.model.train_cfg
    assert test_cfg.rcnn.max_per_img == most_objects(cfg) == 700
    assert test_cfg.rpn.max_per_img == PROPOSALS * 700
    assert test_cfg.rpn.nms_pre >= PROPOSALS * 700
    assert train_cfg == load_config(name).model.train_cfg
    assert "limits raised for 700 detections an image: model.test_cfg.rcnn.max_per_img 100 → 700" in told
    set_limits(cfg, 700, training=True)
    assert min(train_cfg.rpn_proposal.max_per_img, train_cfg.rpn_proposal.nms_pre) >= PROPOSALS * 700
    assert set_limits(cfg, 300, training=True) is None


def test_mmdets_own_thousand_proposals_serve_500_detections():
    cfg = load_config(CASCADE)
    assert set_limits(cfg, 500, training=True) == (
        "limits raised for 500 detections an image: model.test_cfg.rcnn.max_per_img 100 → 500"
    )


def test_crowdhumans_configs_hold_what_crowdhuman_counts():
    cfg = load_config(CROWDHUMAN)
    assert most_objects(cfg) == 500
    assert set_limits(cfg, 500, training=True) is None


def test_a_detector_of_one_stage_gets_room_as_well():
    cfg = load_config(ONE_STAGE)
    set_limits(cfg, 200)
    assert (cfg.model.test_cfg.max_per_img, cfg.model.test_cfg.nms_pre) == (200, 2000)
    assert most_objects(cfg) == 200


def test_few_proposals_are_a_limit_too():
    cfg = load_config(QUICKSTART)
    cfg.model.test_cfg.rpn.max_per_img = 60
    assert most_objects(cfg) == 60


@pytest.mark.parametrize(
    "name", ["mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py", "mmdet::detr/detr_r50_8xb2-150e_coco.py"]
)
def test_a_fixed_number_of_queries_stays_as_it_is(name):
    cfg = load_config(name)
    before = copy.deepcopy(cfg.model)
    assert set_limits(cfg, 300, training=True) is None
    assert cfg.model == before
    assert most_objects(cfg) is None


def test_the_configs_own_way_of_merging_views_gets_room_as_well():
    cfg = load_config(QUICKSTART)
    cfg.tta_model = dict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100))
    assert "tta_model.tta_cfg.max_per_img 100 → 300" in set_limits(cfg, 300)
    assert cfg.tta_model.tta_cfg.max_per_img == 300
