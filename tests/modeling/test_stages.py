import pytest
import torch
from torchvision.ops import batched_nms

from tests.support.by_hand import assert_detected, refined_by_hand
from tests.support.roi_heads import CASCADE, FASTER, MASK, counted_calls, data, make, proposal_rois, roi_predictions

RATIOS = ["1:9", "1:1", "1:3"]
METHODS = ["average-probs", "average-boxes", "tilt+2", "tilt-0.5"]
STAGES = {FASTER: 1, CASCADE: 3}


def found_by(name, **options):
    """A RoI head with its methods, and what each variant found in each image."""
    head = make(name, RATIOS, keep_heads=True, methods=METHODS, **options)
    _, samples = roi_predictions(head)
    variants = samples[0].head_instances.keys()
    return head, samples, {variant: [sample.head_instances.get(variant) for sample in samples] for variant in variants}


def outputs_at(head, stage, x, rois):
    """Each head's logits and regression at a stage, and the heads."""
    if hasattr(head, "num_stages"):
        heads, extractor = head.bbox_head[stage], head.bbox_roi_extractor[stage]
    else:
        heads, extractor = head.bbox_head, head.bbox_roi_extractor
    features = extractor(x, rois)
    logits, deltas = zip(*(single(features) for single in heads), strict=True)
    return heads, torch.stack(logits), deltas


def by_hand(name, merge, boxes_of):
    """Rois, logits and regressions of the last stage, where `boxes_of` heads move the boxes in between."""
    head, samples, _ = found_by(name)
    x, rois, logits = data()[1], proposal_rois(samples), []
    for stage in range(STAGES[name]):
        heads, each, deltas = outputs_at(head, stage, x, rois)
        logits.append(merge(each))
        if stage < STAGES[name] - 1:
            labels = logits[-1][:, :-1].argmax(dim=1)
            rois = torch.stack([refined_by_hand(heads[k], rois, labels, deltas[k]) for k in boxes_of]).mean(dim=0)
    return heads, rois, torch.stack(logits).mean(dim=0), deltas


def mean_of_probabilities(logits):
    return sum(each.softmax(dim=1) for each in logits).div(len(logits)).log()


def tilted(logits):
    z = torch.tensor([-1.0, 1.0, 2 * (0.25 - 0.1) / (0.5 - 0.1) - 1])
    return ((2 * z).softmax(dim=0)[:, None, None] * logits).sum(dim=0)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(("method", "merge"), [("average-probs", mean_of_probabilities), ("tilt+2", tilted)])
@torch.no_grad()
def test_logits_are_merged_at_each_stage_and_boxes_are_those_of_the_head_with_most_positives(name, method, merge):
    head, _, found = found_by(name)
    heads, rois, logits, deltas = by_hand(name, merge, [1])
    assert_detected(found[method], head.test_cfg, heads[1], rois, logits.softmax(dim=1), deltas[1])


@pytest.mark.parametrize("name", STAGES)
@torch.no_grad()
def test_decoded_boxes_are_averaged_at_each_stage(name):
    head, _, found = found_by(name)
    heads, rois, logits, deltas = by_hand(name, lambda each: each.mean(dim=0), [0, 1, 2])
    probabilities = logits.softmax(dim=1)
    for i, instances in enumerate(found["average-boxes"]):
        chosen, labels = ((probabilities[:, :-1] > head.test_cfg.score_thr) & (rois[:, :1] == i)).nonzero(as_tuple=True)
        each = [refined_by_hand(heads[k], rois[chosen], labels, deltas[k][chosen])[:, 1:] for k in range(3)]
        boxes, scores = torch.stack(each).mean(dim=0), probabilities[chosen, labels]
        keep = batched_nms(boxes, scores, labels, head.test_cfg.nms.iou_threshold)[: head.test_cfg.max_per_img]
        assert 5 < len(keep) < len(boxes)
        torch.testing.assert_close(instances.bboxes, boxes[keep])
        torch.testing.assert_close(instances.scores, scores[keep])
        assert torch.equal(instances.labels, labels[keep])


@pytest.mark.parametrize("name", [FASTER, MASK, CASCADE])
def test_methods_come_beside_the_heads_and_leave_them_as_they_are(name):
    _, _, found = found_by(name)
    assert set(found) == {"1to9", "1to1", "1to3", "ensemble", *METHODS}
    plain = make(name, RATIOS, keep_heads=True)
    _, samples = roi_predictions(plain)
    for i, sample in enumerate(samples):
        for variant in ("1to9", "1to1", "1to3", "ensemble"):
            expected = sample.head_instances.get(variant)
            torch.testing.assert_close(found[variant][i].bboxes, expected.bboxes)
            assert torch.equal(found[variant][i].scores, expected.scores)


@pytest.mark.usefixtures("extractor_crops")  # whose calls are counted
def test_every_method_comes_from_one_pass():
    head = make(FASTER, RATIOS, keep_heads=True, methods=METHODS)
    with counted_calls(head.bbox_roi_extractor, *head.bbox_head) as counts:
        roi_predictions(head)
    assert counts == [1, 1, 1, 1]


@pytest.mark.parametrize("name", STAGES)
def test_images_without_proposals_have_no_detections(name):
    head = make(name, RATIOS, keep_heads=True, methods=METHODS)
    for counts, near, elsewhere in (((0, 0), 0, 0), ((0, 1), 6, 0)):
        _, samples = roi_predictions(head, counts, near, elsewhere)
        empty = samples[0].head_instances
        assert all(empty.get(variant).bboxes.shape == (0, 4) for variant in METHODS)
    assert len(samples[1].head_instances.get("average-boxes").scores) > 0


def test_without_keep_heads_methods_are_not_run():
    head = make(FASTER, RATIOS, methods=["no such method"])
    found, samples = roi_predictions(head)
    assert len(found[0]) > 5
    assert "head_instances" not in samples[0]
