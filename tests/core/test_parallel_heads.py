import contextlib
import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import RandomSampler
from mmdet.structures.bbox import bbox2roi
from torchvision.ops import batched_nms

from rgacli.core.ensembling import average_ensemble
from rgacli.core.parallel_heads import union_of_draws
from rgacli.core.sampling import HardRandomSampler
from tests.core import tiny
from tests.core.scenes import SAMPLERS, SHAPES, draw, scene

IMAGES = (3, 1)


@contextlib.contextmanager
def counted_calls(*modules):
    """Yields a list with how often each module was called."""
    counts = [0] * len(modules)

    def count(index):
        def hook(*_):
            counts[index] += 1

        return hook

    handles = [module.register_forward_hook(count(index)) for index, module in enumerate(modules)]
    yield counts
    for handle in handles:
        handle.remove()


def make(ratios=("1:1", "1:9"), num=16, seed=0, **roi_head):
    cfg = tiny.tiny_config(ratios=list(ratios), **roi_head)
    cfg.model.train_cfg.rcnn.sampler.num = num
    return tiny.build_roi_head(cfg, seed)


def roi_losses(head, counts=IMAGES, near=6, elsewhere=30, seed=0):
    """Losses on random features and proposals, and the features."""
    samples, x = tiny.batch(counts)["data_samples"], tiny.features(len(counts))
    torch.manual_seed(seed)
    return head.loss(x, tiny.proposals(samples, near, elsewhere), samples), x


def roi_predictions(head, counts=IMAGES, elsewhere=30):
    """The ensemble's detections per image, and the data samples they were made for."""
    samples, x = tiny.batch(counts)["data_samples"], tiny.features(len(counts))
    with torch.no_grad():
        return head.eval().predict(x, tiny.proposals(samples, 6, elsewhere), samples), samples


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


def assert_same_detections(one, other):
    assert len(one) == len(other)
    for field in ("bboxes", "scores", "labels"):
        assert torch.equal(one[field], other[field])


# --- one head at the config's own ratio is mmdet's RoI head


def stock_and_parallel(seed):
    """mmdet's detector and ours with one head at 1:3, with the same weights."""
    stock = tiny.build(tiny.stock_config().model)
    tiny.scramble(stock.roi_head, seed)
    parallel = tiny.build(tiny.tiny_config(ratios=["1:3"]).model)
    parallel.load_state_dict({parallel_name(name): value for name, value in stock.state_dict().items()})
    return stock, parallel


def parallel_name(name):
    return name.replace("roi_head.bbox_head.", "roi_head.bbox_head.0.")


@pytest.mark.parametrize(("counts", "seed"), [((2, 1), 0), ((5, 3), 1), ((0, 2), 2), ((0,), 3)])
def test_one_head_at_1_to_3_has_the_losses_and_gradients_of_the_stock_detector(counts, seed):
    stock, parallel = stock_and_parallel(seed)
    data = tiny.batch(counts, seed)
    expected, found = tiny.losses(stock, data, seed), tiny.losses(parallel, data, seed)
    for name in ("loss_cls", "loss_bbox", "acc"):
        assert torch.equal(found[f"1to3.{name}"], expected[name])
    for model, losses in ((stock, expected), (parallel, found)):
        model.parse_losses(losses)[0].backward()
    gradients = {name: parameter.grad for name, parameter in parallel.named_parameters()}
    for name, parameter in stock.named_parameters():
        torch.testing.assert_close(gradients[parallel_name(name)], parameter.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", [0, 1])
def test_one_head_detects_what_the_stock_detector_detects(seed):
    stock, parallel = stock_and_parallel(seed)
    data = tiny.batch((2, 1), seed)
    data["data_samples"][0].set_metainfo(dict(scale_factor=(2.0, 0.5)))  # detections in the original image's pixels
    expected, found = (model.eval().test_step(copy.deepcopy(data)) for model in (stock, parallel))
    for one, other in zip(expected, found, strict=True):
        assert len(one.pred_instances) > 10
        assert_same_detections(one.pred_instances, other.pred_instances)


# --- drawing


@st.composite
def several_draws(choose, heads=(1, 3)):
    """`draws[k][i]` of some heads, soft and hard, in some images."""
    shapes = choose(st.lists(SHAPES, min_size=1, max_size=3))
    seed, add_gt = choose(st.integers(0, 2**16)), choose(st.booleans())
    kinds = st.tuples(st.sampled_from([RandomSampler, HardRandomSampler]), SAMPLERS)
    scenes = [scene(**shape, seed=seed) for shape in shapes]
    return [
        [draw(kind(**setting, add_gt_as_proposals=add_gt), parts, seed + k) for parts in scenes]
        for k, (kind, setting) in enumerate(choose(st.lists(kinds, min_size=heads[0], max_size=heads[1])))
    ]


@given(draws=several_draws())
def test_every_head_finds_its_own_draw_in_the_union_exactly_and_in_order(draws):
    rois, indices = union_of_draws(draws)
    for head_draws, index in zip(draws, indices, strict=True):
        assert torch.equal(rois[index], bbox2roi([drawn.priors for drawn in head_draws]))


@given(draws=several_draws())
def test_the_union_holds_what_was_drawn_once_and_nothing_else(draws):
    rois, indices = union_of_draws(draws)
    assert len(rois.unique(dim=0)) == len(rois)
    assert torch.equal(torch.cat(indices).unique(), torch.arange(len(rois)))


@given(draws=several_draws(heads=(1, 1)))
def test_the_union_of_a_single_head_is_its_draw_in_its_order(draws):
    rois, (index,) = union_of_draws(draws)
    own = bbox2roi([drawn.priors for drawn in draws[0]])
    if len(own.unique(dim=0)) == len(own):  # nothing repeated
        assert torch.equal(rois, own)
    assert torch.equal(index.cummax(dim=0).values.unique(), torch.arange(len(rois)))  # by first appearance


def test_the_same_box_in_two_images_and_a_box_proposed_twice_stay_apart():
    parts = scene(positives=2, negatives=2, objects=1)
    parts[1].priors[:] = parts[1].priors[0]
    drawn = draw(RandomSampler(num=4, pos_fraction=0.5, add_gt_as_proposals=False), parts)
    rois, (index,) = union_of_draws([[drawn, drawn]])
    assert torch.equal(index, torch.arange(8))
    assert rois[:, 0].tolist() == [0] * 4 + [1] * 4


def test_proposals_are_assigned_once_per_image(monkeypatch):
    head, calls = make(["1:1", "1:3", "1:9"]), []
    assign = head.bbox_assigner.assign
    monkeypatch.setattr(head.bbox_assigner, "assign", lambda *args: calls.append(1) or assign(*args))
    roi_losses(head)
    assert len(calls) == len(IMAGES)


def test_heads_of_the_same_ratio_draw_independently():
    head = make(["1:1", "1:1"])
    samples = tiny.batch(IMAGES)["data_samples"]
    one, other = head.draw(tiny.features(), tiny.proposals(samples), samples)
    assert not torch.equal(one[0].neg_inds, other[0].neg_inds)


@pytest.mark.parametrize("sampling", ["soft", "hard"])
def test_each_head_draws_at_its_own_ratio(sampling):
    losses, _ = roi_losses(make(["1:1", "1:3", "1:15"], sampling=sampling), near=8)  # 8 positives per object
    assert [losses[f"{name}.positives"].item() for name in ("1to1", "1to3", "1to15")] == [8, 4, 1]
    assert [losses[f"{name}.negatives"].item() for name in ("1to1", "1to3", "1to15")] == [8, 12, 15]


def test_only_hard_sampling_makes_up_for_missing_positives():
    found = {
        sampling: roi_losses(make(["1:1"], sampling=sampling), counts=(1,), near=1)[0] for sampling in ("soft", "hard")
    }
    assert found["soft"]["1to1.positives"] < 8
    assert (found["hard"]["1to1.positives"], found["hard"]["1to1.negatives"]) == (8, 8)


# --- losses


def bbox_head_config(**changes):
    return dict(tiny.tiny_config().model.roi_head.bbox_head, **changes)


IOU_LOSS = dict(reg_decoded_bbox=True, loss_bbox=dict(type="GIoULoss"))  # it needs the RoIs themselves


@pytest.mark.parametrize("changes", [{}, IOU_LOSS], ids=["L1", "GIoU"])
@pytest.mark.parametrize("sampling", ["soft", "hard"])
def test_losses_and_gradients_equal_those_of_heads_that_crop_for_themselves(sampling, changes):
    head = make(sampling=sampling, bbox_head=bbox_head_config(**changes))
    found, x = roi_losses(head)
    total(found).backward()
    gradients = [level.grad for level in x]

    samples, x = tiny.batch(IMAGES)["data_samples"], tiny.features()
    torch.manual_seed(0)
    expected = {}
    for name, single, draws in zip(
        ("1to1", "1to9"), head.bbox_head, head.draw(x, tiny.proposals(samples), samples), strict=True
    ):
        rois = bbox2roi([drawn.priors for drawn in draws])
        scores, deltas = single(head.bbox_roi_extractor(x, rois))
        result = single.loss_and_target(scores, deltas, rois, draws, head.train_cfg)["loss_bbox"]
        expected.update({f"{name}.{key}": value for key, value in result.items()})
    total(expected).backward()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)
    for one, level in zip(gradients, x, strict=True):
        torch.testing.assert_close(one, level.grad, rtol=1e-5, atol=1e-7)


def test_features_are_cropped_once_and_each_head_runs_once():
    head = make(["1:1", "1:3", "1:9"])
    with counted_calls(head.bbox_roi_extractor, *head.bbox_head) as counts:
        roi_losses(head)
    assert counts == [1, 1, 1, 1]


def test_a_shared_head_runs_once_for_all_heads():
    head = make(["1:1", "1:9"])
    head.shared_head = torch.nn.Conv2d(tiny.CHANNELS, tiny.CHANNELS, 1)  # as the C4 and DC5 detectors have one
    with counted_calls(head.shared_head) as counts:
        total(roi_losses(head)[0]).backward()
        roi_predictions(head)
    assert counts == [2]
    assert head.shared_head.weight.grad.abs().sum() > 0


def test_every_entry_is_led_by_its_heads_slug_and_a_repeated_ratio_has_its_own():
    losses, _ = roi_losses(make(["1:1", "1:9", "1:1"]))
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
def test_scarce_images_have_finite_losses_and_gradients_and_can_be_predicted(sampling, counts, near, elsewhere, num):
    head = make(num=num, sampling=sampling)
    losses, _ = roi_losses(head, counts, near, elsewhere)
    assert all(math.isfinite(value.detach()) for value in losses.values())
    total(losses).backward()
    gradients = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    found, _ = roi_predictions(head, counts, elsewhere)
    assert len(found) == len(counts)
    if elsewhere == 0 and sum(counts) == 0:
        assert all(len(instances) == 0 for instances in found)


def test_an_accuracy_on_no_positives_is_left_out():
    losses, _ = roi_losses(make(num=4))
    assert "1to1.acc_pos" in losses
    assert "1to9.acc_pos" not in losses


def test_as_many_configs_of_heads_as_ratios_are_needed():
    with pytest.raises(ValueError, match=r"3 bbox heads for 2 ratios \(1:1, 1:9\)"):
        make(bbox_head=[bbox_head_config()] * 3)


def test_heads_may_have_configs_of_their_own():
    other = bbox_head_config(fc_out_channels=8, loss_cls=dict(type="CrossEntropyLoss", loss_weight=0.0))
    head = make(bbox_head=[bbox_head_config(), other])
    assert [single.fc_cls.in_features for single in head.bbox_head] == [32, 8]
    losses, _ = roi_losses(head)
    assert losses["1to1.loss_cls"] > 0
    assert losses["1to9.loss_cls"] == 0


# --- detections


def test_logits_are_averaged_and_boxes_taken_from_one_head():
    logits, boxes = torch.randn(3, 5, 4), torch.randn(3, 5, 12)
    cls, bbox = average_ensemble(list(logits), list(boxes), box_head=1)
    torch.testing.assert_close(cls, (logits[0] + logits[1] + logits[2]) / 3)
    assert torch.equal(bbox, boxes[1])


@pytest.mark.parametrize("keep_heads", [False, True])
def test_one_pass_yields_every_variant(keep_heads):
    head = make(["1:1", "1:3", "1:9"], keep_heads=keep_heads)
    with counted_calls(head.bbox_roi_extractor, *head.bbox_head) as counts:
        roi_predictions(head)
    assert counts == [1, 1, 1, 1]


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize(("ratios", "box_head"), [(("1:1", "1:9"), 0), (("1:9", "1:3", "3:9", "1:5"), 1)])
def test_the_ensemble_is_the_papers(ratios, box_head, class_agnostic):
    head = make(ratios, bbox_head=bbox_head_config(reg_class_agnostic=class_agnostic))
    found, samples = roi_predictions(head)
    x, boxes = tiny.features(), [result.bboxes for result in tiny.proposals(samples)]
    with torch.no_grad():
        outputs = [single(head.bbox_roi_extractor(x, bbox2roi(boxes))) for single in head.bbox_head]
    probabilities = torch.stack([logits for logits, _ in outputs]).mean(dim=0).softmax(dim=1)
    deltas = outputs[box_head][1]
    start = 0
    for proposals, instances in zip(boxes, found, strict=True):
        rows = slice(start, start := start + len(proposals))
        bboxes, scores, labels = by_hand(head.bbox_head[0], proposals, probabilities[rows], deltas[rows])
        torch.testing.assert_close(instances.scores, scores)
        torch.testing.assert_close(instances.bboxes, bboxes)
        assert torch.equal(instances.labels, labels)


def by_hand(head, proposals, probabilities, deltas):
    """Class-wise NMS at 0.5 of what scores above 0.05, best first: boxes (D, 4), scores (D,), labels (D,)."""
    deltas = deltas.view(len(proposals), -1, 4).expand(-1, tiny.CLASSES, 4)
    index, label = (probabilities[:, :-1] > 0.05).nonzero(as_tuple=True)
    bboxes = head.bbox_coder.decode(proposals[index], deltas[index, label], max_shape=(tiny.SIZE, tiny.SIZE))
    scores = probabilities[index, label]
    keep = batched_nms(bboxes, scores, label, 0.5)[:100]
    assert 5 < len(keep) < len(bboxes)  # else this would test little
    return bboxes[keep], scores[keep], label[keep]


def test_keep_heads_leaves_every_variant_in_the_data_samples():
    head = make(["1:1", "1:9", "1:1"], keep_heads=True)
    found, samples = roi_predictions(head)
    for sample, ensemble in zip(samples, found, strict=True):
        assert set(sample.head_instances.keys()) == {"1to1", "1to9", "1to1_2", "ensemble"}
        assert_same_detections(sample.head_instances.ensemble, ensemble)


def test_a_kept_heads_detections_are_those_of_a_detector_of_this_head_alone():
    parallel = make(keep_heads=True)
    _, samples = roi_predictions(parallel)
    for index, name in enumerate(("1to1", "1to9")):
        single = make(["1:3"])
        single.bbox_head[0].load_state_dict(parallel.bbox_head[index].state_dict())
        for sample, expected in zip(samples, roi_predictions(single)[0], strict=True):
            assert_same_detections(sample.head_instances.get(name), expected)


def test_a_single_head_is_its_only_variant():
    head = make(["1:3"], keep_heads=True)
    _, samples = roi_predictions(head)
    assert head.variants == ("1to3",)
    assert all(sample.head_instances.keys() == ["1to3"] for sample in samples)


def test_without_keep_heads_data_samples_stay_as_they_are():
    _, samples = roi_predictions(make())
    assert not any("head_instances" in sample for sample in samples)


def test_keep_heads_leaves_every_variant_where_there_is_no_proposal():
    head = make(keep_heads=True)
    _, samples = roi_predictions(head, counts=(0, 0), elsewhere=0)
    for sample in samples:
        assert [len(sample.head_instances.get(name)) for name in ("1to1", "1to9", "ensemble")] == [0, 0, 0]


def test_the_raw_forward_pass_and_predict_bbox_are_the_ensembles():
    head = make().eval()
    found, samples = roi_predictions(head)
    x, metas = tiny.features(), [sample.metainfo for sample in samples]
    with torch.no_grad():
        again = head.predict_bbox(x, metas, tiny.proposals(samples), head.test_cfg)
        logits, deltas = head(x, tiny.proposals(samples))
        features = head.bbox_roi_extractor(x, bbox2roi([result.bboxes for result in tiny.proposals(samples)]))
        (first, boxes), (second, _) = (single(features) for single in head.bbox_head)
    for one, other in zip(found, again, strict=True):
        assert_same_detections(one, other)
    torch.testing.assert_close(logits, (first + second) / 2)
    assert torch.equal(deltas, boxes)
