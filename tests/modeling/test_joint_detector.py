import copy

import pytest
import torch
from mmdet.structures.bbox import bbox2roi

from rgacli.errors import UsageError
from rgacli.modeling.build import build_detector
from rgacli.modeling.joint_detector import JointDetector
from tests.support import tiny
from tests.support.by_hand import assert_detected
from tests.support.roi_heads import CASCADE, mmdet_config, parallel_config


def detector(cfg, seed):
    """A detector of random weights whose outputs vary from RoI to RoI."""
    model = tiny.build(cfg.model, seed).eval()
    tiny.scramble(model.roi_head, seed)
    return model


def prepared(model):
    """Preprocessed images and their data samples."""
    data = model.data_preprocessor(copy.deepcopy(tiny.batch()), False)
    return data["inputs"], data["data_samples"]


@pytest.fixture
def detectors():
    """Two heads, mmdet's own one head, and one head."""
    configs = [tiny.tiny_config(ratios=["1:9", "1:1"]), tiny.stock_config(), tiny.tiny_config(ratios=["1:3"])]
    return {name: detector(cfg, seed) for seed, (name, cfg) in enumerate(zip("abc", configs, strict=True))}


@torch.no_grad()
def test_all_heads_score_the_first_detectors_proposals_on_features_of_their_own(detectors):
    joint = JointDetector(detectors, ["average-probs"])
    inputs, samples = prepared(detectors["a"])
    found = joint.detect(inputs, samples, ["ensemble", "average-probs"])

    features = {name: model.extract_feat(inputs) for name, model in detectors.items()}
    proposals = detectors["a"].rpn_head.predict(features["a"], samples, rescale=False)
    rois = bbox2roi([result.bboxes for result in proposals])
    outputs = []
    for name, model in detectors.items():
        head = model.roi_head
        cropped = head.bbox_roi_extractor(features[name], rois)
        heads = head.bbox_head if name != "b" else [head.bbox_head]
        outputs += [single(cropped) for single in heads]
    logits = torch.stack([scores for scores, _ in outputs])
    first = detectors["a"].roi_head
    deltas = outputs[1][1]  # of the head at 1:1
    average = logits.mean(dim=0).softmax(dim=1)
    assert_detected(found["ensemble"], first.test_cfg, first.bbox_head[1], rois, average, deltas)
    probabilities = logits.softmax(dim=2).mean(dim=0)
    assert_detected(found["average-probs"], first.test_cfg, first.bbox_head[1], rois, probabilities, deltas)


def test_a_detector_joined_with_itself_is_itself():
    model = detector(tiny.tiny_config(ratios=["1:1"]), 0)
    joint = JointDetector({"a": model, "b": copy.deepcopy(model)}, ["average-probs", "average-boxes"])
    with torch.no_grad():
        alone = model.test_step(copy.deepcopy(tiny.batch()))
        joined = joint.test_step(copy.deepcopy(tiny.batch()))
    for one, both in zip(alone, joined, strict=True):
        assert len(one.pred_instances) > 5
        assert set(both.head_instances.keys()) == {"ensemble", "average-probs", "average-boxes"}
        for found in (both.pred_instances, *both.head_instances.values()):
            torch.testing.assert_close(found.bboxes, one.pred_instances.bboxes)
            torch.testing.assert_close(found.scores, one.pred_instances.scores)


def test_cascades_join_stage_by_stage_stock_or_not():
    stock = mmdet_config(CASCADE)
    single = detector(stock, 0)
    parallel = detector(parallel_config(stock, ["1:3"]), 1)
    for ours, theirs in zip(parallel.roi_head.bbox_head, single.roi_head.bbox_head, strict=True):
        ours[0].load_state_dict(theirs.state_dict())
    for part in ("backbone", "neck", "rpn_head"):
        getattr(parallel, part).load_state_dict(getattr(single, part).state_dict())
    with torch.no_grad():
        alone = single.test_step(copy.deepcopy(tiny.batch()))
        joined = JointDetector({"a": single, "b": parallel}).test_step(copy.deepcopy(tiny.batch()))
    for one, both in zip(alone, joined, strict=True):
        assert len(one.pred_instances) > 5
        torch.testing.assert_close(both.pred_instances.bboxes, one.pred_instances.bboxes)
        torch.testing.assert_close(both.pred_instances.scores, one.pred_instances.scores)


def test_the_rpns_that_propose_nothing_are_no_part_of_it(detectors):
    joint = JointDetector(detectors)

    def size(module):
        return sum(parameter.numel() for parameter in module.parameters())

    idle = size(detectors["b"].rpn_head) + size(detectors["c"].rpn_head)
    assert joint.num_parameters == sum(map(size, detectors.values())) - idle


def test_what_cannot_be_joined_is_refused_by_name(detectors):
    cascade = detector(mmdet_config(CASCADE), 0)
    with pytest.raises(UsageError, match=r"number of R-CNN stages \(a 1, steps 3\)"):
        JointDetector({"a": detectors["a"], "steps": cascade})
    odd = build_detector(tiny.tiny_config())
    del odd.rpn_head
    with pytest.raises(UsageError, match="odd: a ParallelRoIHead has no R-CNN modules that could score"):
        JointDetector({"a": detectors["a"], "odd": odd})
    with pytest.raises(UsageError, match="plain: a Linear has no R-CNN modules"):
        JointDetector({"a": detectors["a"], "plain": torch.nn.Linear(1, 1)})
