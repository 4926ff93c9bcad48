import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from rgacli.config.files import load_config
from rgacli.config.recipe import set_method
from rgacli.errors import UsageError
from rgacli.export.onnx import resizing, write_onnx
from rgacli.export.parity import compare_detections
from rgacli.export.stock import stock_detector
from rgacli.method import parse_ratios
from tests.support import families, tiny
from tests.support.tracing import FAMILIES, detections, image, mmdets_own, scrambled

READING = [dict(type="LoadImageFromFile", backend_args=None), dict(type="LoadAnnotations", with_bbox=True)]
PACKING = dict(type="mmdet.PackDetInputs", meta_keys=("img_id",))
ABOUT = dict(classes=("a", "b", "c"), pipeline=[*READING, PACKING], provenance=dict(run="base"))


def by_onnxruntime(path, pixels):
    """What onnxruntime finds on an image (1, 3, H, W)."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return detections(*map(torch.from_numpy, session.run(["boxes", "scores", "labels"], {"image": pixels.numpy()})))


def assert_same(model, path, *sizes):
    for size in sizes:
        expected, found = mmdets_own(model, image(*size)), by_onnxruntime(path, image(*size))
        assert len(expected) > 5
        assert compare_detections([found], [expected]).within(1e-3, 1e-5)


@pytest.mark.parametrize("name", FAMILIES[:3])
def test_onnxruntime_detects_what_mmdet_does_at_any_size(tmp_path, name):
    model = scrambled(families.family(name))
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", (64, 64), (70, 100), (120, 90))


@pytest.mark.parametrize("ratios", ["1:1,1:9", "1:9,1:1,1:3"])
@pytest.mark.parametrize("name", [FAMILIES[0], FAMILIES[2]])
def test_folded_heads_detect_as_the_ensemble(tmp_path, name, ratios):
    cfg = families.family(name)
    set_method(cfg, ratios=parse_ratios(ratios))
    model = scrambled(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "weights.pth")
    stock = stock_detector(cfg, tmp_path / "weights.pth")
    write_onnx(stock.detector, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", (70, 100), (128, 96))


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_rga-prm_1x_coco", "cascade-rcnn_r50_fpn_rga-prm_1x_coco"])
def test_the_papers_detectors_fold_and_leave_with_roi_features_as_mmdet_1_takes_them(tmp_path, name):
    cfg = families.shrunken(load_config(name))
    assert not cfg.model.roi_head.bbox_roi_extractor.roi_layer.aligned
    model = scrambled(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "weights.pth")
    stock = stock_detector(cfg, tmp_path / "weights.pth")
    write_onnx(stock.detector, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", (70, 100), (128, 96))


def test_an_image_without_objects_yields_none(tmp_path):
    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.test_cfg.score_thr = 1.0
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    found = by_onnxruntime(tmp_path / "model.onnx", image(64, 64))
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)


def test_masks_stay_behind(tmp_path):
    model = scrambled(families.family("mask_rcnn/mask-rcnn_r50_fpn_1x_coco"))
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", (70, 100))
    names = [weights.name for weights in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert any("bbox_head" in name for name in names)
    assert not any("mask_head" in name for name in names)


def test_the_file_says_how_to_use_it_and_where_it_comes_from(tmp_path):
    resize = dict(type="Resize", scale=(320, 240), keep_ratio=True)
    about = {**ABOUT, "pipeline": [READING[0], resize, READING[1], PACKING]}
    write_onnx(scrambled(families.family(FAMILIES[0])), tmp_path / "model.onnx", **about)
    written = onnx.load(tmp_path / "model.onnx")
    assert {prop.key: json.loads(prop.value) for prop in written.metadata_props} == {
        "classes": ["a", "b", "c"],
        "resize": {"scale": [320, 240], "keep_ratio": True},
        "provenance": {"run": "base"},
    }
    assert "BGR in [0, 255]" in written.doc_string
    (taken,) = written.graph.input
    shape = [size.dim_param or size.dim_value for size in taken.type.tensor_type.shape.dim]
    assert (taken.name, shape) == ("image", [1, 3, "height", "width"])
    assert [given.name for given in written.graph.output] == ["boxes", "scores", "labels"]
    boxes = written.graph.output[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in boxes] == ["detections", 4]


def test_a_failed_export_leaves_what_was_there(tmp_path):
    (tmp_path / "model.onnx").write_text("before")
    retinanet = tiny.build(families.family("retinanet/retinanet_r50_fpn_1x_coco").model)
    with pytest.raises(UsageError, match="RetinaNet: ONNX files are made of FasterRCNN"):
        write_onnx(retinanet, tmp_path / "model.onnx", **ABOUT)
    assert (tmp_path / "model.onnx").read_text() == "before"


class Sized(nn.Module):
    """A backbone that asks in Python for a size."""

    def __init__(self, backbone, ask):
        super().__init__()
        self.backbone, self.ask = backbone, ask

    def forward(self, image):
        return tuple(self.ask(features) for features in self.backbone(image))


@pytest.mark.parametrize(
    "ask",
    [
        lambda features: features * float(int(features.shape[-1])),
        lambda features: features.reshape(1, -1, int(features.shape[-2]), int(features.shape[-1])),
        lambda features: features if int(features.shape[-1]) > 3 else -features,  # at the smaller size alone
    ],
)
def test_a_trace_that_holds_for_one_size_alone_is_refused(tmp_path, ask, capfd):
    model = scrambled(families.family(FAMILIES[0]))
    model.backbone = Sized(model.backbone, ask)
    with pytest.raises(UsageError, match=r"Sized \(or its neck\) cannot be exported for images of any size: traced at"):
        write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_what_torch_cannot_export_is_refused_in_a_line(tmp_path, capfd):
    with pytest.raises(UsageError, match=r"torch cannot export this detector: .*adaptive pooling") as refused:
        write_onnx(scrambled(families.family(FAMILIES[3])), tmp_path / "model.onnx", **ABOUT)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, None),
        (dict(type="Resize", scale=(1333, 800), keep_ratio=True), {"scale": [1333, 800], "keep_ratio": True}),
        (dict(type="mmdet.Resize", scale=64), {"scale": [64, 64], "keep_ratio": False}),
    ],
)
def test_what_becomes_of_an_image_is_told(step, expected):
    assert resizing([*READING, *([step] if step else []), PACKING]) == expected


@pytest.mark.parametrize(
    "steps",
    [
        [dict(type="Resize", scale=(64, 64)), dict(type="Pad", size=(64, 64))],
        [dict(type="FixScaleResize", scale=(64, 64), keep_ratio=True)],
        [dict(type="Resize", scale=(64, 64), interpolation="nearest")],
        [dict(type="Resize", scale_factor=2)],
        [dict(type="Resize", scale=None)],
    ],
)
def test_what_cannot_be_told_is_refused(steps):
    with pytest.raises(UsageError, match=f"prepares images by {', '.join(step['type'] for step in steps)}: "):
        resizing([*READING, *steps, PACKING])


@pytest.mark.parametrize("own", [dict(color_type="grayscale"), dict(imdecode_backend="pillow")])
def test_images_that_are_read_otherwise_are_refused(own):
    with pytest.raises(UsageError, match=f"reads images by {next(iter(own))}: "):
        resizing([{**READING[0], **own}, PACKING])


def test_labels_are_integers_and_boxes_floats(tmp_path):
    model = scrambled(families.family(FAMILIES[0]))
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    found = by_onnxruntime(tmp_path / "model.onnx", image(64, 64))
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)
