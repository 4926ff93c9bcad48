import copy
import math
from functools import partial

import pytest
import torch
from mmdet.structures.bbox import bbox2roi, scale_boxes

from rgacli.errors import UsageError
from rgacli.modeling.ensembling import ENSEMBLE, combination
from tests.support import tiny
from tests.support.by_hand import assert_detected, classification_losses, detected_by_sabl, hardest, mask_loss_by_hand
from tests.support.roi_heads import (
    FASTER,
    LIBRA,
    MASK,
    MASK_C4,
    OHEM,
    SABL,
    SEESAW,
    counted_calls,
    data,
    make,
    mmdet_config,
    parallel_config,
    proposal_rois,
    roi_losses,
    roi_predictions,
    sampling_results_of,
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
    parallel_name,
    stock_and_parallel,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # mmdet's own: names and types of yesterday
    pytest.mark.usefixtures("extractor_crops"),  # against mmdet to the last bit
]

FAMILIES = [FASTER, MASK, MASK_C4, LIBRA, OHEM, SABL, SEESAW]
MASKED = [MASK, MASK_C4]
IOU_LOSS = dict(reg_decoded_bbox=True, loss_bbox=dict(type="GIoULoss"))  # it needs the RoIs themselves


# --- one head at the config's own ratio is mmdet's RoI head


@pytest.mark.parametrize(("counts", "seed"), [((3, 1), 0), ((0, 2), 1), ((0,), 2)])
@pytest.mark.parametrize("name", FAMILIES, ids=short)
def test_one_head_at_1_to_3_trains_as_mmdets_roi_head(name, counts, seed):
    assert_same_training(*stock_and_parallel(mmdet_config(name), seed), counts, seed=seed)


@pytest.mark.parametrize("name", FAMILIES, ids=short)
def test_one_head_detects_what_mmdets_roi_head_detects(name):
    assert_same_predictions(*stock_and_parallel(mmdet_config(name)), (3, 1))


def whole_detectors(seed):
    """mmdet's Faster R-CNN and ours with one head at 1:3, with the same weights."""
    stock = tiny.build(tiny.stock_config().model)
    tiny.scramble(stock.roi_head, seed)
    parallel = tiny.build(tiny.tiny_config(ratios=["1:3"]).model)
    parallel.load_state_dict({detector_name(name): value for name, value in stock.state_dict().items()})
    return stock, parallel


def detector_name(name):
    module, _, rest = name.partition(".")
    return f"{module}.{parallel_name(rest)}" if module == "roi_head" else name


@pytest.mark.parametrize(("counts", "seed"), [((2, 1), 0), ((5, 3), 1), ((0, 2), 2), ((0,), 3)])
def test_a_detector_of_one_head_has_the_losses_and_gradients_of_the_stock_detector(counts, seed):
    stock, parallel = whole_detectors(seed)
    batch = tiny.batch(counts, seed)
    expected, found = tiny.losses(stock, batch, seed), tiny.losses(parallel, batch, seed)
    for name in ("loss_cls", "loss_bbox", "acc"):
        assert torch.equal(found[f"1to3.{name}"], expected[name])
    for model, losses in ((stock, expected), (parallel, found)):
        model.parse_losses(losses)[0].backward()
    gradients = {name: parameter.grad for name, parameter in parallel.named_parameters()}
    for name, parameter in stock.named_parameters():
        torch.testing.assert_close(gradients[detector_name(name)], parameter.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_detector_of_one_head_detects_what_the_stock_detector_detects(seed):
    stock, parallel = whole_detectors(seed)
    batch = tiny.batch((2, 1), seed)
    batch["data_samples"][0].set_metainfo(dict(scale_factor=(2.0, 0.5)))  # detections in the original image's pixels
    expected, found = (model.eval().test_step(copy.deepcopy(batch)) for model in (stock, parallel))
    for one, other in zip(expected, found, strict=True):
        assert len(one.pred_instances) > 10
        assert_same_detections(one.pred_instances, other.pred_instances)


# --- every head's sampler


@pytest.mark.parametrize("sampling", ["soft", "hard"])
def test_each_head_draws_at_its_own_ratio(sampling):
    # 8 positives per object
    losses, _ = roi_losses(make(FASTER, ["1:1", "1:3", "1:15"], sampling=sampling), near=8)
    assert [losses[f"{name}.positives"].item() for name in ("1to1", "1to3", "1to15")] == [8, 4, 1]
    assert [losses[f"{name}.negatives"].item() for name in ("1to1", "1to3", "1to15")] == [8, 12, 15]


def test_only_hard_sampling_makes_up_for_missing_positives():
    found = {
        sampling: roi_losses(make(FASTER, ["1:1"], sampling=sampling), counts=(1,), near=1)[0]
        for sampling in ("soft", "hard")
    }
    assert found["soft"]["1to1.positives"] < 8
    assert (found["hard"]["1to1.positives"], found["hard"]["1to1.negatives"]) == (8, 8)


def test_each_head_of_libra_rcnn_draws_at_its_own_ratio():
    samples, x = data()
    one, other = sampling_results_of(make(LIBRA, ["1:1", "1:7"]), x, samples)
    assert [(len(result.pos_inds), len(result.neg_inds)) for result in (one[0], other[0])] == [(8, 8), (2, 14)]


def test_each_head_mines_the_rois_that_are_hardest_for_itself():
    samples, x = data()
    head = make(OHEM, ["1:1", "1:1", "1:7"])
    sampling_results = sampling_results_of(head, x, samples)
    for i, (sample, proposed) in enumerate(zip(samples, tiny.proposals(samples), strict=True)):
        for single, head_results, positives in zip(head.bbox_head, sampling_results, (8, 8, 2), strict=True):
            losses_of = partial(classification_losses, single, head.bbox_roi_extractor, x, i)
            expected = hardest(head.bbox_assigner, sample.gt_instances, proposed.bboxes, losses_of, positives)
            assert (set(head_results[i].pos_inds.tolist()), set(head_results[i].neg_inds.tolist())) == expected
    assert not torch.equal(sampling_results[0][0].neg_inds, sampling_results[1][0].neg_inds)


# --- losses


@pytest.mark.parametrize("changes", [{}, IOU_LOSS], ids=["L1", "GIoU"])
@pytest.mark.parametrize("sampling", ["soft", "hard"])
def test_losses_and_gradients_equal_those_of_heads_that_crop_for_themselves(sampling, changes):
    head = make(FASTER, sampling=sampling, bbox_head=changes)
    found, x = roi_losses(head)
    total(found).backward()
    gradients = [level.grad for level in x]

    samples, x = data()
    torch.manual_seed(0)
    expected = {}
    for name, single, sampling_results in zip(
        ("1to1", "1to9"), head.bbox_head, sampling_results_of(head, x, samples), strict=True
    ):
        rois = bbox2roi([result.priors for result in sampling_results])
        scores, deltas = single(head.bbox_roi_extractor(x, rois))
        result = single.loss_and_target(scores, deltas, rois, sampling_results, head.train_cfg)["loss_bbox"]
        expected.update({f"{name}.{key}": value for key, value in result.items()})
    total(expected).backward()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)
    for one, level in zip(gradients, x, strict=True):
        torch.testing.assert_close(one, level.grad, rtol=1e-5, atol=1e-7)


def gradients_of(name, ratios, **roi_head):
    """The losses, and the gradients of the bbox heads' at the feature maps."""
    losses, x = roi_losses(make(name, ratios, **roi_head))
    total({key: value for key, value in losses.items() if "mask" not in key}).backward()
    return losses, [level.grad for level in x]


@pytest.mark.parametrize(("ratios", "rtol"), [(("1:1", "1:9"), 0), (("1:1", "1:9", "1:3"), 1e-5)])
@pytest.mark.parametrize("name", [FASTER, SABL, SEESAW], ids=short)
def test_the_mean_of_the_losses_has_the_sums_gradient_divided_by_the_number_of_heads(name, ratios, rtol):
    (losses, whole), (divided, mean) = (gradients_of(name, ratios, head_loss=kind) for kind in ("sum", "mean"))
    assert set(divided) == set(losses)
    for entry, value in losses.items():
        is_heads = "loss" in entry and "mask" not in entry
        assert torch.equal(divided[entry], value / len(ratios) if is_heads else value), entry
    assert whole[0].abs().sum() > 0
    for one, other in zip(mean, whole, strict=True):
        torch.testing.assert_close(one, other / len(ratios), rtol=rtol, atol=rtol / 1000)  # by 2 it loses no bit


def test_features_are_cropped_once_and_each_head_runs_once():
    head = make(FASTER, ["1:1", "1:3", "1:9"])
    with counted_calls(head.bbox_roi_extractor, *head.bbox_head) as counts:
        roi_losses(head)
    assert counts == [1, 1, 1, 1]


def test_a_shared_head_runs_once_for_all_heads():
    head = make(MASK_C4)
    with counted_calls(head.shared_head) as counts:
        total(roi_losses(head)[0]).backward()
    assert counts == [1]  # the mask head, too, takes what the bbox heads took
    assert head.shared_head.weight.grad.abs().sum() > 0


def test_every_entry_is_led_by_its_heads_slug_and_a_repeated_ratio_has_its_own():
    losses, _ = roi_losses(make(FASTER, ["1:1", "1:9", "1:1"]))
    entries = {"loss_cls", "loss_bbox", "acc", "positives", "negatives", "acc_pos", "acc_neg"}
    assert set(losses) == {f"{name}.{entry}" for name in ("1to1", "1to9", "1to1_2") for entry in entries}
    assert losses["1to1.loss_cls"] != losses["1to1_2.loss_cls"]


def test_the_total_loss_is_the_rpns_plus_every_heads():
    model = tiny.build(tiny.tiny_config().model)
    losses = tiny.losses(model, tiny.batch())
    heads = [losses[f"{name}.{part}"] for name in ("1to1", "1to9") for part in ("loss_cls", "loss_bbox")]
    rpn = [sum(value) for name, value in losses.items() if name.startswith("loss_rpn")]
    torch.testing.assert_close(model.parse_losses(losses)[0], sum(rpn) + sum(heads))


@pytest.mark.parametrize("sampling", ["soft", "hard"])
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
@pytest.mark.parametrize("name", [FASTER, *MASKED], ids=short)
def test_scarce_images_have_finite_losses_and_gradients_and_can_be_predicted(
    name, counts, near, elsewhere, num, sampling
):
    head = make(name, sampler=dict(num=num), sampling=sampling)
    losses, _ = roi_losses(head, counts, near, elsewhere)
    assert all(math.isfinite(value.detach()) for value in losses.values())
    total(losses).backward()
    gradients = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    found, _ = roi_predictions(head, counts, near, elsewhere)
    assert len(found) == len(counts)
    assert all(("masks" in instances) == (name in MASKED) for instances in found)
    if elsewhere == 0 and sum(counts) == 0:
        assert all(len(instances) == 0 for instances in found)


def test_an_accuracy_on_no_positives_is_left_out():
    losses, _ = roi_losses(make(FASTER, sampler=dict(num=4)))
    assert "1to1.acc_pos" in losses
    assert "1to9.acc_pos" not in losses


def test_accuracies_under_seesaw_loss_are_those_of_its_probabilities():
    head = make(SEESAW)
    losses, _ = roi_losses(head)
    samples, x = data()
    torch.manual_seed(0)
    for name, single, sampling_results in zip(
        ("1to1", "1to9"), head.bbox_head, sampling_results_of(head, x, samples), strict=True
    ):
        logits, _ = single(head.bbox_roi_extractor(x, bbox2roi([result.priors for result in sampling_results])))
        rightly = {True: [], False: []}
        predicted = single.loss_cls.get_activation(logits).argmax(dim=1)
        for result in sampling_results:
            own, predicted = predicted[: len(result.priors)], predicted[len(result.priors) :]
            positives = len(result.pos_inds)
            rightly[True] += (own[:positives] == result.pos_gt_labels).tolist()
            rightly[False] += (own[positives:] == tiny.CLASSES).tolist()
        for entry, right in (("acc_pos", rightly[True]), ("acc_neg", rightly[False])):
            assert losses[f"{name}.{entry}"].item() == pytest.approx(100 * sum(right) / len(right))


def build(**roi_head):
    return tiny.build_roi_head(parallel_config(mmdet_config(FASTER), **roi_head))


def test_as_many_configs_of_heads_as_ratios_are_needed():
    config = mmdet_config(FASTER).model.roi_head.bbox_head
    with pytest.raises(ValueError, match=r"3 bbox heads for 2 ratios \(1:1, 1:9\)"):
        build(bbox_head=[config] * 3)


@pytest.mark.parametrize(
    ("roi_head", "complaint"),
    [
        (dict(sampling="medium"), "sampling=medium: it can be soft or hard"),
        (dict(head_loss="max"), "head_loss=max: it can be sum or mean"),
        (dict(draws="disjoint"), "draws=disjoint: it can be independent or nested"),
    ],
)
def test_settings_that_there_are_not_are_refused(roi_head, complaint):
    with pytest.raises(UsageError, match=complaint):
        build(**roi_head)


def test_heads_may_have_configs_of_their_own():
    config = mmdet_config(FASTER).model.roi_head.bbox_head
    other = dict(config, fc_out_channels=8, loss_cls=dict(type="CrossEntropyLoss", loss_weight=0.0))
    head = build(bbox_head=[config, other])
    assert [single.fc_cls.in_features for single in head.bbox_head] == [32, 8]
    losses, _ = roi_losses(head)
    assert losses["1to1.loss_cls"] > 0
    assert losses["1to9.loss_cls"] == 0


# --- the mask head


@pytest.mark.parametrize("name", MASKED, ids=short)
def test_the_mask_head_learns_from_the_positives_of_the_head_of_most_positives(name):
    head = make(name, ["1:9", "1:1"])
    found, _ = roi_losses(head)
    samples, x = data()
    torch.manual_seed(0)
    _, sampling_results = sampling_results_of(head, x, samples)
    extractor = head.mask_roi_extractor
    features = extractor(x[: extractor.num_inputs], bbox2roi([result.pos_priors for result in sampling_results]))
    logits = head.mask_head(head.shared_head(features) if head.with_shared_head else features)
    expected = mask_loss_by_hand(logits, samples, sampling_results)
    torch.testing.assert_close(found["loss_mask"].squeeze(), expected)
    assert [entry for entry in found if "mask" in entry] == ["loss_mask"]


@pytest.mark.parametrize("name", MASKED, ids=short)
def test_masks_follow_the_ensembles_boxes(name):
    assert_masks_of_stock_on_the_ensembles_boxes(mmdet_config(name), make(name, ["1:9", "1:1"]))


@pytest.mark.parametrize("name", [FASTER, MASK], ids=short)
def test_kept_detections_are_in_the_pixels_that_the_ensembles_are_in(name):
    head = make(name, ["1:9", "1:1"], keep_heads=True)
    for rescale, factor in ((False, (1, 1)), (True, (1 / 2, 2))):
        found, samples = roi_predictions(head, rescale=rescale)
        x, metas = data()[1], [sample.metainfo for sample in samples]
        with torch.no_grad():
            unscaled = head.predict_variants(
                x, metas, tiny.proposals(samples), head.test_cfg, False, ["1to9", "1to1", "ensemble"]
            )
        for i, sample in enumerate(samples):
            assert_same_detections(sample.head_instances.ensemble, without_masks(found[i]))
            for variant, expected in unscaled.items():
                kept = sample.head_instances.get(variant)
                torch.testing.assert_close(kept.bboxes, scale_boxes(expected[i].bboxes, factor))
                assert torch.equal(kept.scores, expected[i].scores)


def without_masks(instances):
    instances = instances.clone()
    instances.pop("masks", None)
    return instances


@pytest.mark.parametrize("name", MASKED, ids=short)
def test_rga_scales_every_bbox_head_and_what_they_stand_on_and_nothing_else(name):
    head = make(name)
    modules = ("bbox_head.0.", "bbox_head.1.", "shared_head.")
    assert scaled_parameters(head) == {entry for entry, _ in head.named_parameters() if entry.startswith(modules)}
    expected = {"bbox_head", "mask_head"} | ({"shared_head"} if name == MASK_C4 else set())
    assert {entry.partition(".")[0] for entry, _ in head.named_parameters()} == expected


# --- detections


def test_logits_are_averaged_and_boxes_taken_from_one_head():
    logits = torch.randn(3, 5, 4)
    ensemble = combination(ENSEMBLE, [0.1, 0.5, 0.25], box_head=1)
    assert ensemble.heads == (0, 1, 2)
    torch.testing.assert_close(ensemble.merge(logits), (logits[0] + logits[1] + logits[2]) / 3)
    assert ensemble.box_heads == (1,)


@pytest.mark.parametrize("keep_heads", [False, True])
def test_one_pass_yields_every_variant(keep_heads):
    head = make(FASTER, ["1:1", "1:3", "1:9"], keep_heads=keep_heads)
    with counted_calls(head.bbox_roi_extractor, *head.bbox_head) as counts:
        roi_predictions(head)
    assert counts == [1, 1, 1, 1]


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize(("ratios", "box_head"), [(("1:1", "1:9"), 0), (("1:9", "1:3", "3:9", "1:5"), 1)])
def test_the_ensemble_is_the_papers(ratios, box_head, class_agnostic):
    head = make(FASTER, ratios, bbox_head=dict(reg_class_agnostic=class_agnostic))
    found, samples = roi_predictions(head)
    rois, outputs = outputs_of(head, samples)
    probabilities = torch.stack([logits for logits, _ in outputs]).mean(dim=0).softmax(dim=1)
    assert_detected(found, head.test_cfg, head.bbox_head[0], rois, probabilities, outputs[box_head][1])


def test_the_ensembles_boxes_are_decoded_as_their_head_encodes_them():
    config = mmdet_config(FASTER).model.roi_head.bbox_head
    head = build(ratios=["1:9", "1:1"], bbox_head=[with_stds(config, 0.01), with_stds(config, 0.2)])
    found, samples = roi_predictions(head)
    rois, ((first, _), (second, deltas)) = outputs_of(head, samples)
    assert_detected(found, head.test_cfg, head.bbox_head[1], rois, ((first + second) / 2).softmax(dim=1), deltas)


def test_logits_are_averaged_before_an_activation_of_their_own():
    head = make(SEESAW, ["1:9", "1:1"])
    head.test_cfg.score_thr = 0.05
    found, samples = roi_predictions(head)
    rois, ((first, _), (second, deltas)) = outputs_of(head, samples)
    probabilities = head.bbox_head[0].loss_cls.get_activation((first + second) / 2)
    assert_detected(found, head.test_cfg, head.bbox_head[0], rois, probabilities, deltas)


def outputs_of(head, samples):
    """The RoIs (N, 5) and each head's logits and box regression on them."""
    rois = proposal_rois(samples)
    with torch.no_grad():
        features = head.bbox_roi_extractor(data()[1], rois)
        return rois, [single(features) for single in head.bbox_head]


@pytest.mark.parametrize("name", [FASTER, SABL], ids=short)
def test_a_kept_heads_detections_are_those_of_a_detector_of_this_head_alone(name):
    parallel = make(name, keep_heads=True)
    _, samples = roi_predictions(parallel)
    for index, slug in enumerate(("1to1", "1to9")):
        single = make(name, ["1:3"])
        single.bbox_head[0].load_state_dict(parallel.bbox_head[index].state_dict())
        for sample, expected in zip(samples, roi_predictions(single)[0], strict=True):
            assert len(expected) > 5
            assert_same_detections(sample.head_instances.get(slug), expected)


def test_sabl_heads_are_trained_and_averaged_side_by_side():
    head = make(SABL)
    losses, _ = roi_losses(head)
    parts = ("loss_cls", "loss_bbox_cls", "loss_bbox_reg")
    assert {name for name in losses if "loss" in name} == {
        f"{head}.{part}" for head in ("1to1", "1to9") for part in parts
    }
    found, samples = roi_predictions(head)
    rois, ((first, buckets), (second, _)) = outputs_of(head, samples)
    expected = detected_by_sabl(head.test_cfg, head.bbox_head[0], samples, rois, (first + second) / 2, buckets)
    for one, other in zip(found, expected, strict=True):
        assert len(one) > 5
        assert_same_detections(one, other)


def test_keep_heads_leaves_every_variant_in_the_data_samples():
    head = make(FASTER, ["1:1", "1:9", "1:1"], keep_heads=True)
    found, samples = roi_predictions(head)
    for sample, ensemble in zip(samples, found, strict=True):
        assert set(sample.head_instances.keys()) == {"1to1", "1to9", "1to1_2", "ensemble"}
        assert_same_detections(sample.head_instances.ensemble, ensemble)


def test_a_single_head_is_its_only_variant():
    head = make(FASTER, ["1:3"], keep_heads=True)
    _, samples = roi_predictions(head)
    assert head.variants == ("1to3",)
    assert all(sample.head_instances.keys() == ["1to3"] for sample in samples)


def test_without_keep_heads_data_samples_stay_as_they_are():
    _, samples = roi_predictions(make(FASTER))
    assert not any("head_instances" in sample for sample in samples)


@pytest.mark.parametrize("name", [FASTER, *MASKED], ids=short)
def test_keep_heads_leaves_every_variant_where_there_is_no_proposal(name):
    _, samples = roi_predictions(make(name, keep_heads=True), (0, 0), elsewhere=0)
    for sample in samples:
        assert [len(sample.head_instances.get(name)) for name in ("1to1", "1to9", "ensemble")] == [0, 0, 0]


@pytest.mark.parametrize("name", [FASTER, MASK], ids=short)
def test_the_raw_forward_pass_and_predict_bbox_are_the_ensembles(name):
    head = make(name).eval()
    found, samples = roi_predictions(head)
    x, metas = data()[1], [sample.metainfo for sample in samples]
    with torch.no_grad():
        again = head.predict_bbox(x, metas, tiny.proposals(samples), head.test_cfg)
        logits, deltas, *masks = head(x, tiny.proposals(samples), samples)
    rois, ((first, boxes), (second, _)) = outputs_of(head, samples)
    for one, other in zip(found, again, strict=True):
        assert_same_detections(without_masks(one), other)
    torch.testing.assert_close(logits, (first + second) / 2)
    assert torch.equal(deltas, boxes)
    assert [len(predicted) for predicted in masks] == [len(rois)] * head.with_mask
