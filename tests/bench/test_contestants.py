import pytest
import torch

from rgacli.bench.contestants import RATIOS, OfMMDet, OfTorchvision, contestants, to_torchvision
from rgacli.bench.floor import inference_floor, training_floor
from rgacli.bench.parts import parts_of
from rgacli.bench.scenes import draw
from rgacli.bench.settings import Settings
from rgacli.bench.weights import describe, find_weights, made, train_briefly
from rgacli.config.files import load_config
from rgacli.modeling.parallel_roi_head import ParallelRoIHead
from rgacli.modeling.torchvision_weights import from_torchvision
from tests.support import tiny

SETTINGS = Settings(size=(64, 64), batch=2)


@pytest.fixture(scope="module")
def scenes():
    return draw(2, (64, 64), tiny.CLASSES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save({"state_dict": train_briefly(tiny.tiny_config(), steps=2, size=(64, 64))}, path)
    return path


@pytest.fixture
def field(scenes, weights, monkeypatch):
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    names = ("k1", "k2", "stock")
    return dict(zip(names, contestants(names, tiny.tiny_config(), weights, scenes, SETTINGS), strict=True))


def test_ours_are_compiled_where_asked_for_and_no_others(scenes, weights, monkeypatch):
    compiled = []
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    settings = Settings(size=(64, 64), batch=2, compile=True)
    ours, _ = contestants(("k2", "stock"), tiny.tiny_config(), weights, scenes, settings)
    assert compiled == [ours.model.backbone, ours.model.neck]


def test_images_have_about_eight_objects_inside_them(scenes):
    for scene in scenes:
        assert scene.pixels.shape == (3, 64, 64)
        assert 4 <= len(scene.boxes) == len(scene.labels) <= 8
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 64
        assert scene.labels.max() < tiny.CLASSES
    assert not torch.equal(scenes[0].pixels, scenes[1].pixels)


def test_they_differ_in_their_heads_alone(field):
    stock = field["stock"].model.state_dict()
    for name, ratios in list(RATIOS.items())[:2]:
        own = field[name].model
        assert isinstance(own.roi_head, ParallelRoIHead)
        assert [str(ratio) for ratio in own.roi_head.ratios] == list(ratios)
        for key, value in own.state_dict().items():
            single = key.replace("bbox_head.0.", "bbox_head.")
            if "bbox_head.1." not in key:
                torch.testing.assert_close(value, stock[single])
    first, second = field["k2"].model.roi_head.bbox_head
    assert not torch.equal(first.fc_cls.weight, second.fc_cls.weight)
    torch.testing.assert_close(first.fc_cls.weight, second.fc_cls.weight, atol=0.05, rtol=0.5)


def test_one_head_detects_what_stock_does(field):
    for own, theirs in zip(field["k1"].predict(), field["stock"].predict(), strict=True):
        torch.testing.assert_close(own.pred_instances.bboxes, theirs.pred_instances.bboxes)
        torch.testing.assert_close(own.pred_instances.scores, theirs.pred_instances.scores)


def test_every_head_is_asked_for_or_not(field):
    assert "head_instances" in field["k2"].predict(every_head=True)[0]
    field["k2"].predict()
    assert not field["k2"].model.roi_head.keep_heads


def test_a_training_step_is_whole_and_leaves_the_weights(field):
    own = field["k2"]
    before, scaled = tiny.state(own.model), []
    own.rga.current = 0.0
    step = own.optim_wrapper.optimizer.step
    own.optim_wrapper.optimizer.step = lambda *args, **kwargs: (
        scaled.append(own.model.roi_head.bbox_head[0].fc_cls.weight.grad.abs().sum().item()),
        step(*args, **kwargs),
    )
    own.train_step()
    assert own.rga.current == 7
    assert scaled[0] > 0
    for name, value in own.model.named_parameters():
        assert torch.equal(value, before[name]), name


def test_the_time_of_every_part_is_told(field):
    for name in ("k2", "stock"):
        own = field[name]
        parts = parts_of(own.train_step, own.parts())
        assert {"backbone and neck", "RPN", "RoI crop", "heads", "RoI sampling and losses", "backward"} <= set(parts)
        assert ("RGA and optimizer" in parts) == (name == "k2")
        assert {"proposal selection", "decoding and NMS"} <= set(parts_of(own.predict, own.parts()))
        assert "train_step" not in vars(own.model)


def test_the_floor_leaves_no_gradient_and_counts_no_waiting(field, scenes):
    from rgacli.bench.counting import count

    training_floor(field["k2"], scenes, None)()
    assert all(parameter.grad is None for parameter in field["k2"].model.parameters())
    floor = count(inference_floor(field["k2"], scenes, None))
    assert floor.syncs == 0
    assert 0 < floor.ops < count(field["k2"].forward_predict(scenes)).ops


def test_counts_are_exact_and_grow_with_the_images_as_mmdet_goes_through_them(field, scenes):
    from rgacli.bench.counting import count

    stock = field["stock"]
    one, two, again = (count(stock.forward_predict(images)) for images in (scenes[:1], scenes, scenes))
    assert two == again
    assert one.ops < two.ops
    assert one.nms < two.nms


def test_weights_are_made_once_and_say_how_like_a_detectors_they_are(cache, monkeypatch, scenes):
    from rgacli.bench import weights as module

    monkeypatch.setattr(module, "STEPS", 1)
    monkeypatch.setattr(module, "train_briefly", lambda cfg, progress: calls.append(1) or {"a": torch.ones(1)})
    calls = []
    first, second = (made(tiny.tiny_config(ratios=ratios)) for ratios in (["1:1"], ["1:3", "1:9"]))
    assert first == second  # the heads' ratios are no part of it
    assert first.is_file()
    assert calls == [1]


def test_what_is_said_of_the_inputs(field, scenes):
    found = describe(field["stock"].model, list(scenes))
    assert 0 < found["proposals"] <= 20
    assert 4 <= found["objects"] <= 8
    assert 0 <= found["objects_proposed"] <= 1
    assert found["candidates"] >= found["detections"]
    assert 0 < found["positives_drawn"] <= 4  # of 16 RoIs, a quarter


def test_a_config_that_is_no_faster_rcnn_is_refused():
    from rgacli.errors import UsageError

    for config in ("cascade-rcnn_r50_fpn_rga-prm", "retinanet_r101_fpn_1x_coco"):
        with pytest.raises(UsageError, match="take a Faster R-CNN"):
            find_weights("random", config)


@pytest.fixture(scope="module")
def large():
    """torchvision's contestant and what it has its weights from: the only one that cannot be tiny."""
    size = Settings(size=(64, 64), batch=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmengine.device.utils.DEVICE", "cpu")
        cfg = load_config("faster-rcnn_r50_fpn_rga-prm")
        scenes = draw(1, (64, 64), 80)
        stock = OfMMDet("stock", cfg, None, scenes, size)
        yield stock, OfTorchvision(stock, scenes, size)


def test_torchvision_has_the_same_weights(large):
    stock, theirs = large
    back = from_torchvision(theirs.model.state_dict())
    own = stock.model.state_dict()
    assert {name for name in own if not name.endswith("num_batches_tracked")} == set(back)
    for name, value in back.items():
        assert torch.equal(value, own[name]), name
    with torch.no_grad():
        pixels = torch.randn(1, 3, 64, 64)
        for ours, others in zip(
            stock.model.eval().extract_feat(pixels), theirs.model.eval().backbone(pixels).values(), strict=True
        ):
            torch.testing.assert_close(ours, others, atol=1e-3, rtol=1e-3)


def test_torchvision_refuses_other_weights(large):
    from rgacli.errors import UsageError

    with pytest.raises(UsageError, match="which the weights lack"):
        to_torchvision({}, large[1].model.state_dict())


def test_torchvision_takes_steps(large):
    theirs = large[1]
    assert {"backward", "RoI crop", "heads"} <= set(parts_of(theirs.train_step, theirs.parts()))
    assert set(theirs.predict()[0]) == {"boxes", "labels", "scores"}
