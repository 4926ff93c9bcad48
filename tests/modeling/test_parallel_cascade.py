import copy
import math
from functools import partial

import pytest
import torch
from mmdet.structures.bbox import bbox2roi

from rgacli.modeling import parallel_cascade
from rgacli.modeling.label_and_sample import union_of_rois
from tests.support import tiny
from tests.support.by_hand import (
    assert_detected,
    classification_losses,
    detected_by_sabl,
    hardest,
    mask_loss_by_hand,
    refined_by_hand,
    rois_of,
)
from tests.support.roi_heads import (
    CASCADE,
    CASCADE_MASK,
    IMAGES,
    SABL_CASCADE,
    SEESAW_CASCADE,
    STATISTICS,
    counted_calls,
    data,
    make,
    mmdet_config,
    parallel_config,
    proposal_rois,
    roi_losses,
    roi_predictions,
    scaled_parameters,
    short,
    total,
    with_stds,
)
from tests.support.stock import (
    assert_masks_of_stock_on_the_ensembles_boxes,
    assert_same_detections,
    assert_same_predictions,
    assert_same_training,
    stock_and_parallel,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # mmdet's own: names and types of yesterday
    pytest.mark.usefixtures("extractor_crops"),  # against mmdet to the last bit
]

PER_CLASS = dict(reg_class_agnostic=False)
MINING = dict(type="OHEMSampler")
NORMALISED = dict(type="Shared4Conv1FCBBoxHead", norm_cfg=dict(type="BN"), conv_out_channels=tiny.CHANNELS)
FAMILIES = {
    "boxes": (CASCADE, {}),
    "boxes-per-class": (CASCADE, dict(bbox_head=PER_CLASS)),
    "masks": (CASCADE_MASK, {}),
    "OHEM": (CASCADE, dict(sampler=MINING)),
    "SABL": (SABL_CASCADE, {}),
    "normalised": (CASCADE, dict(bbox_head=NORMALISED)),
    "Seesaw": (SEESAW_CASCADE, {}),
    "Seesaw-per-class": (SEESAW_CASCADE, dict(bbox_head=PER_CLASS)),
}
STAGES = range(3)
WEIGHTS = (1, 0.5, 0.25)

regression = pytest.mark.parametrize("bbox_head", [{}, PER_CLASS], ids=["class-agnostic", "per-class"])


@pytest.fixture
def stages(monkeypatch):
    """What the stages sampled, filled by a training pass: per stage the proposals' boxes by image, and the results."""
    seen, label_and_sample = [], parallel_cascade.label_and_sample

    def recording(assigner, samplers, x, proposals, *ground_truth):
        boxes = [found.bboxes for found in proposals]
        seen.append((boxes, label_and_sample(assigner, samplers, x, proposals, *ground_truth)))
        return seen[-1][1]

    monkeypatch.setattr(parallel_cascade, "label_and_sample", recording)
    return seen


# --- one head at the config's own ratio is mmdet's cascade


@pytest.mark.parametrize(("counts", "seed"), [((3, 1), 0), ((0, 2), 1), ((0,), 2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_head_at_1_to_3_trains_as_mmdets_cascade(family, counts, seed):
    name, changes = FAMILIES[family]
    assert_same_training(*stock_and_parallel(mmdet_config(name, **changes), seed), counts, seed=seed)


@pytest.mark.parametrize(("counts", "elsewhere"), [((3, 1), 30), ((3, 0, 5), 0)], ids=["all", "none-in-one-image"])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_head_detects_what_mmdets_cascade_detects(family, counts, elsewhere):
    name, changes = FAMILIES[family]
    assert_same_predictions(*stock_and_parallel(mmdet_config(name, **changes)), counts, elsewhere)


# --- samples


def test_each_head_draws_at_its_own_ratio_at_each_stage(stages):
    head = make(CASCADE, ["1:1", "1:3", "1:15"])
    for stage in STAGES:  # boxes that stay where they are, and positives that stay positives
        head.bbox_assigner[stage].pos_iou_thr = head.bbox_assigner[stage].neg_iou_thr = 0.5
        for single in head.bbox_head[stage]:
            torch.nn.init.zeros_(single.fc_reg.weight)
            torch.nn.init.zeros_(single.fc_reg.bias)
    roi_losses(head, near=8)
    for _, sampling_results in stages:
        counts = [[(len(result.pos_inds), len(result.neg_inds)) for result in own] for own in sampling_results]
        assert counts == [[(8, 8)] * 2, [(4, 12)] * 2, [(1, 15)] * 2]


def test_each_stage_assigns_once_per_image_at_its_own_threshold(monkeypatch):
    head, calls = make(CASCADE), []
    for assigner in head.bbox_assigner:
        assign = assigner.assign
        monkeypatch.setattr(
            assigner,
            "assign",
            lambda *args, own=assigner, assign=assign: calls.append(own.pos_iou_thr) or assign(*args),
        )
    roi_losses(head)
    assert calls == [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]


@pytest.mark.parametrize("sampling", ["soft", "hard"])
@pytest.mark.parametrize(("ratios", "box_head"), [(("1:1", "1:9"), 0), (("1:9", "3:1", "1:3"), 1)])
@regression
def test_a_stage_draws_from_the_union_of_the_last_as_one_head_refines_it(bbox_head, ratios, box_head, sampling, stages):
    head = make(CASCADE, ratios, bbox_head, sampling=sampling)
    roi_losses(head)
    x = tiny.features()
    for stage in STAGES[:-1]:
        refining = head.bbox_head[stage][box_head]
        for i, objects in enumerate(IMAGES):
            sampled = sampled_by_any([head_results[i] for head_results in stages[stage][1]], objects)
            rois, labels = rois_of(i, torch.stack([box for box, _ in sampled])), torch.tensor([of for _, of in sampled])
            with torch.no_grad():
                logits, deltas = refining(head.bbox_roi_extractor[stage](x, rois))
            labels = torch.where(labels == tiny.CLASSES, logits[:, :-1].argmax(dim=1), labels)
            expected = refined_by_hand(refining, rois, labels, deltas)[:, 1:]
            torch.testing.assert_close(stages[stage + 1][0][i], expected)


def sampled_by_any(sampling_results, objects):
    """Box and label of every proposal that any head drew in an image, but not of its objects, which stand first."""
    found, counts = {}, []
    for result in sampling_results:
        chosen = torch.cat([result.pos_inds, result.neg_inds])
        labels = torch.cat([result.pos_gt_labels, torch.full_like(result.neg_inds, tiny.CLASSES)])
        own = {int(k): pair for k, *pair in zip(chosen, result.priors, labels, strict=True) if k >= objects}
        found |= own
        counts.append(len(own))
    assert len(found) > max(counts)  # else one head's sample would do
    return list(found.values())


def test_each_head_mines_the_rois_that_are_hardest_for_itself(stages):
    extractor = mmdet_config(CASCADE).model.roi_head.bbox_roi_extractor
    each = [dict(extractor, finest_scale=scale) for scale in (8, 16, 32)]  # so that stages crop different features
    head = make(CASCADE, ["1:1", "1:1", "1:7"], sampler=MINING, bbox_roi_extractor=each)
    roi_losses(head)
    samples, x = data()
    for stage, (boxes, sampling_results) in enumerate(stages):
        extractor, assigner = head.bbox_roi_extractor[stage], head.bbox_assigner[stage]
        for i, sample in enumerate(samples):
            for single, head_results, positives in zip(head.bbox_head[stage], sampling_results, (8, 8, 2), strict=True):
                losses_of = partial(classification_losses, single, extractor, x, i)
                expected = hardest(assigner, sample.gt_instances, boxes[i], losses_of, positives)
                assert (set(head_results[i].pos_inds.tolist()), set(head_results[i].neg_inds.tolist())) == expected


# --- losses


@pytest.mark.parametrize("sampling", ["soft", "hard"])
@regression
def test_losses_and_gradients_equal_those_of_heads_that_crop_for_themselves(bbox_head, sampling, stages):
    head = make(CASCADE, ["1:1", "1:9", "1:1"], bbox_head, sampling=sampling)
    head.train_cfg[2].pos_weight = 3.0
    found, x = roi_losses(head)
    total(found).backward()
    gradients = [level.grad for level in x]

    x = tiny.features()
    expected = {}
    for stage, (_, sampling_results) in enumerate(stages):
        for name, single, own in zip(("1to1", "1to9", "1to1_2"), head.bbox_head[stage], sampling_results, strict=True):
            rois = bbox2roi([result.priors for result in own])
            scores, deltas = single(head.bbox_roi_extractor[stage](x, rois))
            losses = single.loss_and_target(scores, deltas, rois, own, head.train_cfg[stage])["loss_bbox"]
            for key in ("loss_cls", "loss_bbox"):
                expected[f"s{stage}.{name}.{key}"] = losses[key] * WEIGHTS[stage]
    total(expected).backward()
    assert {name for name in found if "loss" in name} == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)
    for one, level in zip(gradients, x, strict=True):
        torch.testing.assert_close(one, level.grad, rtol=1e-5, atol=1e-6)


def test_normalised_heads_learn_from_their_own_rois_alone(stages):
    head = make(CASCADE, ["1:1", "1:9", "1:3"], NORMALISED)
    alone = copy.deepcopy(head.bbox_head)
    found, _ = roi_losses(head)
    x = tiny.features()
    for stage, (_, sampling_results) in enumerate(stages):
        each = zip(("1to1", "1to9", "1to3"), head.bbox_head[stage], alone[stage], sampling_results, strict=True)
        for name, parallel, single, own in each:
            rois = bbox2roi([result.priors for result in own])
            outputs = single(head.bbox_roi_extractor[stage](x, rois))
            losses = single.loss_and_target(*outputs, rois, own, head.train_cfg[stage])["loss_bbox"]
            for key in ("loss_cls", "loss_bbox"):
                expected = losses[key] * WEIGHTS[stage]
                torch.testing.assert_close(found[f"s{stage}.{name}.{key}"], expected, rtol=1e-6, atol=1e-7)
            for one, other in zip(parallel.buffers(), single.buffers(), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_normalised_head_refines_its_own_rois_as_in_training_and_others_as_at_test_time(stages):
    head = make(CASCADE, ["1:9", "1:1"], NORMALISED)
    alone = copy.deepcopy(head.bbox_head)
    roi_losses(head)
    assert all(module.training for module in head.modules())
    x = tiny.features()
    for stage in STAGES[:-1]:
        rois, (_, index) = union_of_rois(stages[stage][1])
        assert len(index) < len(rois)
        refining = alone[stage][1]
        with torch.no_grad():
            features = head.bbox_roi_extractor[stage](x, rois)
            own = refining(features[index])[1]
            deltas = refining.eval()(features)[1]
        assert not torch.allclose(deltas[index], own, rtol=0.1)
        deltas[index] = own
        refined = refined_by_hand(refining, rois, torch.zeros(len(rois), dtype=torch.long), deltas)
        for i, sample in enumerate(data()[0]):
            is_object = (rois[:, None, 1:] == sample.gt_instances.bboxes).all(dim=2).any(dim=1)
            expected = refined[(rois[:, 0] == i) & ~is_object, 1:]
            torch.testing.assert_close(stages[stage + 1][0][i], expected)


def test_the_mean_of_the_losses_has_the_sums_gradient_divided_by_the_number_of_heads():
    gradients = {}
    for head_loss in ("sum", "mean"):
        losses, x = roi_losses(make(CASCADE, ["1:1", "1:9"], head_loss=head_loss))
        total(losses).backward()
        gradients[head_loss] = [level.grad for level in x]
    assert gradients["sum"][0].abs().sum() > 0
    for whole, mean in zip(gradients["sum"], gradients["mean"], strict=True):
        assert torch.equal(mean, whole / 2)  # dividing by 2 loses no bit


def test_nested_heads_sample_in_one_order_at_every_stage(stages):
    roi_losses(make(CASCADE, ["1:1", "1:7"], draws="nested"), near=8)
    for _, (one, other) in stages:
        for i in range(len(IMAGES)):
            assert set(other[i].pos_inds.tolist()) <= set(one[i].pos_inds.tolist())
            assert set(one[i].neg_inds.tolist()) <= set(other[i].neg_inds.tolist())


def test_losses_and_nothing_else_are_weighted_by_stage():
    weighted, _ = roi_losses(make(CASCADE_MASK))
    plain, _ = roi_losses(make(CASCADE_MASK, stage_loss_weights=[1, 1, 1]))
    for name, value in plain.items():
        weight = WEIGHTS[int(name[1])] if "loss" in name else 1
        assert torch.equal(weighted[name], value * weight), name


def test_every_entry_is_led_by_its_stage_and_its_heads_slug():
    losses, _ = roi_losses(make(CASCADE_MASK, ["1:1", "1:9", "1:1"]))
    entries = {"loss_cls", "loss_bbox", "acc", *STATISTICS}
    expected = {f"s{s}.{name}.{entry}" for s in STAGES for name in ("1to1", "1to9", "1to1_2") for entry in entries}
    assert set(losses) == expected | {f"s{stage}.loss_mask" for stage in STAGES}


def test_features_are_cropped_once_and_each_head_runs_once_in_training():
    head = make(CASCADE, ["1:1", "1:3", "1:9"])
    modules = [module for stage in STAGES for module in (head.bbox_roi_extractor[stage], *head.bbox_head[stage])]
    with counted_calls(*modules) as counts:
        roi_losses(head)
    # And where there is a next stage, one head refines for it what the others sampled.
    assert [tuple(counts[4 * stage : 4 * stage + 4]) for stage in STAGES] == [(1, 2, 1, 1), (1, 2, 1, 1), (1, 1, 1, 1)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same_losses():
    head = make(CASCADE_MASK)
    expected, _ = roi_losses(head)
    samples, x = data()
    torch.manual_seed(0)
    proposals = [found.cuda() for found in tiny.proposals(samples)]
    found = head.cuda().loss(tuple(level.cuda() for level in x), proposals, [sample.cuda() for sample in samples])
    total(found).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    for name, value in expected.items():
        if name.startswith("s0."):  # from then on, rounding may move a box across an IoU threshold
            torch.testing.assert_close(found[name].cpu(), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("counts", "near", "elsewhere", "num"),
    [
        pytest.param((0, 0), 6, 30, 16, id="no-objects"),
        pytest.param((0, 2), 6, 30, 16, id="objects-in-one-image"),
        pytest.param((2, 1), 6, 30, 4, id="1:9-draws-no-positive"),
        pytest.param((2, 1), 0, 0, 16, id="no-proposals-but-the-objects"),
        pytest.param((0, 0), 0, 0, 16, id="nothing-at-all"),
        pytest.param((0, 1), 0, 0, 16, id="nothing-in-one-image"),
    ],
)
@pytest.mark.parametrize("name", [CASCADE, CASCADE_MASK], ids=short)
def test_scarce_images_have_finite_losses_and_gradients_and_can_be_predicted(name, counts, near, elsewhere, num):
    head = make(name, sampler=dict(num=num), keep_heads=True)
    losses, _ = roi_losses(head, counts, near, elsewhere)
    assert all(math.isfinite(value.detach()) for value in losses.values())
    total(losses).backward()
    gradients = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    found, samples = roi_predictions(head, counts, near, elsewhere)
    assert all(set(sample.head_instances.keys()) == {"1to1", "1to9", "ensemble"} for sample in samples)
    assert all(("masks" in instances) == (name == CASCADE_MASK) for instances in found)
    for instances, objects in zip(found, counts, strict=True):
        assert (len(instances) > 0) == (elsewhere > 0 or near * objects > 0)


def test_rga_scales_every_head_of_every_stage_and_nothing_else():
    head = make(CASCADE_MASK)
    names = {name for name, _ in head.named_parameters()}
    prefixes = [f"bbox_head.{stage}.{k}." for stage in STAGES for k in (0, 1)]
    assert scaled_parameters(head) == {name for name in names if name.startswith(tuple(prefixes))}
    assert all(any(name.startswith(prefix) for name in names) for prefix in (*prefixes, "mask_head.2."))


def test_stages_and_heads_may_have_configs_of_their_own():
    cfg = mmdet_config(CASCADE)
    first, second, third = cfg.model.roi_head.bbox_head
    narrow = dict(third, fc_out_channels=8)
    head = tiny.build_roi_head(parallel_config(cfg, bbox_head=[first, second, [third, narrow]]))
    widths = [[single.fc_cls.in_features for single in heads] for heads in head.bbox_head]
    assert widths == [[32, 32], [32, 32], [32, 8]]
    with pytest.raises(ValueError, match="2 bbox heads for 3 stages"):
        tiny.build_roi_head(parallel_config(cfg, bbox_head=[first, second]))
    with pytest.raises(ValueError, match=r"1 bbox heads for 2 ratios"):
        tiny.build_roi_head(parallel_config(cfg, bbox_head=[first, second, [third]]))


# --- mask heads


def test_each_mask_head_learns_from_the_positives_of_the_head_of_most_positives(stages):
    head = make(CASCADE_MASK, ["1:9", "1:1"])
    found, _ = roi_losses(head)
    samples, x = data()
    for stage, (_, (_, sampling_results)) in enumerate(stages):
        logits = head.mask_head[stage](
            head.mask_roi_extractor[stage](x, bbox2roi([result.pos_priors for result in sampling_results]))
        )
        expected = mask_loss_by_hand(logits, samples, sampling_results) * WEIGHTS[stage]
        torch.testing.assert_close(found[f"s{stage}.loss_mask"].squeeze(), expected)


def test_masks_follow_the_ensembles_boxes():
    cfg = mmdet_config(CASCADE_MASK)
    assert_masks_of_stock_on_the_ensembles_boxes(cfg, make(CASCADE_MASK, ["1:9", "1:1"]))


# --- detections


def through_stages_by_hand(head, heads, box_head, rois):
    """Where boxes end up, the logits averaged over heads and stages, and the last regression."""
    x, logits = tiny.features(), []
    for stage in STAGES:
        features = head.bbox_roi_extractor[stage](x, rois)
        outputs = {k: head.bbox_head[stage][k](features) for k in heads}
        logits.append(torch.stack([scores for scores, _ in outputs.values()]).mean(dim=0))
        deltas = outputs[box_head][1]
        if stage < 2:
            refining, scores = head.bbox_head[stage][box_head], logits[stage]
            if refining.custom_activation:
                scores = refining.loss_cls.get_activation(scores)
            labels, meta = scores[:, :-1].argmax(dim=1), dict(img_shape=(tiny.SIZE, tiny.SIZE))
            rois = torch.cat([rois[:, :1], refining.regress_by_class(rois[:, 1:], labels, deltas, meta)], dim=1)
    return rois, torch.stack(logits).mean(dim=0), deltas


@pytest.mark.parametrize(("ratios", "box_head"), [(("1:1", "1:9"), 0), (("1:9", "1:3", "3:9", "1:5"), 1)])
@regression
@torch.no_grad()
def test_the_ensemble_is_averaged_over_heads_and_stages_and_follows_one_heads_boxes(bbox_head, ratios, box_head):
    head = make(CASCADE, ratios, bbox_head)
    found, samples = roi_predictions(head)
    rois, logits, deltas = through_stages_by_hand(head, range(len(ratios)), box_head, proposal_rois(samples))
    assert_detected(found, head.test_cfg, head.bbox_head[-1][0], rois, logits.softmax(dim=1), deltas)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_kept_heads_detections_are_those_of_a_cascade_of_this_head_alone(family):
    name, changes = FAMILIES[family]
    parallel = make(name, ["1:1", "1:9"], **changes, keep_heads=True)
    _, samples = roi_predictions(parallel)
    for index, slug in enumerate(("1to1", "1to9")):
        single = make(name, ["1:3"], **changes)
        for alone, heads in zip(single.bbox_head, parallel.bbox_head, strict=True):
            alone[0].load_state_dict(heads[index].state_dict())
        alone, _ = roi_predictions(single)
        for sample, expected in zip(samples, alone, strict=True):
            expected.pop("masks", None)
            assert len(expected) > 5
            assert_same_detections(sample.head_instances.get(slug), expected)


@pytest.mark.parametrize(
    ("bbox_head", "keep_heads", "expected"),
    [
        pytest.param({}, False, [(1, 1, 1), (1, 1, 1), (1, 1, 1)], id="ensemble-alone"),
        # Head 1:1 and the ensemble look at the same boxes; at later stages head 1:9 looks at its own, too.
        pytest.param({}, True, [(1, 1, 1), (2, 1, 2), (2, 1, 2)], id="class-agnostic"),
        # The class decides how a box moves: each variant has boxes of its own.
        pytest.param(PER_CLASS, True, [(1, 1, 1), (3, 2, 2), (3, 2, 2)], id="per-class"),
    ],
)
def test_variants_that_look_at_the_same_boxes_share_features_and_heads(bbox_head, keep_heads, expected):
    head = make(CASCADE, ["1:1", "1:9"], bbox_head, keep_heads=keep_heads)
    modules = [module for stage in STAGES for module in (head.bbox_roi_extractor[stage], *head.bbox_head[stage])]
    with counted_calls(*modules) as counts:
        roi_predictions(head)
    assert [tuple(counts[3 * stage : 3 * stage + 3]) for stage in STAGES] == expected


@torch.no_grad()
def test_seesaw_logits_are_averaged_before_their_activation():
    head = make(SEESAW_CASCADE, ["1:9", "1:1"])
    head.test_cfg.score_thr = 0.05
    found, samples = roi_predictions(head)
    rois, logits, deltas = through_stages_by_hand(head, (0, 1), 1, proposal_rois(samples))
    last = head.bbox_head[-1][1]
    assert_detected(found, head.test_cfg, last, rois, last.loss_cls.get_activation(logits), deltas)


def test_sabl_heads_are_trained_and_averaged_side_by_side():
    head = make(SABL_CASCADE, ["1:9", "1:1"])
    losses, _ = roi_losses(head)
    total(losses).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.bbox_head.parameters())
    found, samples = roi_predictions(head)
    with torch.no_grad():
        outputs = through_stages_by_hand(head, (0, 1), 1, proposal_rois(samples))
        expected = detected_by_sabl(head.test_cfg, head.bbox_head[-1][1], samples, *outputs)
    for one, other in zip(found, expected, strict=True):
        assert len(one) > 5
        torch.testing.assert_close(one.bboxes, other.bboxes)
        torch.testing.assert_close(one.scores, other.scores)


@regression
def test_keep_heads_leaves_every_variant_in_the_data_samples_and_the_ensemble_as_it_is(bbox_head):
    ratios = ["1:9", "1:1", "1:9"]
    found, samples = roi_predictions(make(CASCADE, ratios, bbox_head, keep_heads=True))
    alone, others = roi_predictions(make(CASCADE, ratios, bbox_head))
    for sample, ensemble, expected, other in zip(samples, found, alone, others, strict=True):
        assert set(sample.head_instances.keys()) == {"1to9", "1to1", "1to9_2", "ensemble"}
        assert_same_detections(sample.head_instances.ensemble, ensemble)
        assert_same_detections(ensemble, expected)
        assert "head_instances" not in other


@torch.no_grad()
def test_the_ensembles_boxes_are_decoded_as_their_head_encodes_them():
    cfg = mmdet_config(CASCADE)
    heads = [[with_stds(config, 0.01), with_stds(config, 0.2)] for config in cfg.model.roi_head.bbox_head]
    head = tiny.build_roi_head(parallel_config(cfg, ["1:9", "1:1"], bbox_head=heads))
    found, samples = roi_predictions(head)
    rois, logits, deltas = through_stages_by_hand(head, (0, 1), 1, proposal_rois(samples))
    assert_detected(found, head.test_cfg, head.bbox_head[-1][1], rois, logits.softmax(dim=1), deltas)


def test_the_raw_forward_pass_and_predict_bbox_are_the_ensembles():
    head = make(CASCADE_MASK).eval()
    found, samples = roi_predictions(head)
    x, metas = tiny.features(), [sample.metainfo for sample in samples]
    with torch.no_grad():
        again = head.predict_bbox(x, metas, tiny.proposals(samples), head.test_cfg)
        logits, deltas, *masks = head(x, tiny.proposals(samples), samples)
        rois, expected, last = through_stages_by_hand(head, (0, 1), 0, proposal_rois(samples))
    for one, other in zip(found, again, strict=True):
        one.pop("masks")
        assert_same_detections(one, other)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(deltas, last)
    for mask_head, extractor, mask in zip(head.mask_head, head.mask_roi_extractor, masks, strict=True):
        torch.testing.assert_close(mask, mask_head(extractor(x, rois)))
