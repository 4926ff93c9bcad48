import json
import logging

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead

from rgacli.config.files import load_config
from rgacli.config.recipe import set_method
from rgacli.errors import UsageError
from rgacli.export.onnx import resizing, write_onnx
from rgacli.export.parity import compare_detections
from rgacli.export.stock import stock_detector
from rgacli.export.suppression import _NonMaxSuppression
from rgacli.method import parse_ratios
from tests.support import families, tiny
from tests.support.tracing import FAMILIES, MASKS, batch, mmdets_own, of_graph, scrambled

READING = [dict(type="LoadImageFromFile", backend_args=None), dict(type="LoadAnnotations", with_bbox=True)]
PACKING = dict(type="mmdet.PackDetInputs", meta_keys=("img_id",))
ABOUT = dict(classes=("a", "b", "c"), pipeline=[*READING, PACKING], provenance=dict(run="base"))


BATCHES = [(70, 100)], [(64, 64)] * 3, [(70, 100), (128, 40), (90, 64)]


def by_onnxruntime(path, *sizes):
    """What onnxruntime finds on images, as the graph gives it."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images, own = batch(*sizes)
    return session.run(None, {"images": images.numpy(), "sizes": own.numpy()})


def assert_same(model, path, batches=BATCHES):
    for sizes in batches:
        expected, found = mmdets_own(model, *sizes), of_graph(by_onnxruntime(path, *sizes), *sizes)
        assert min(map(len, expected)) > 5
        parity = compare_detections(found, expected)
        assert parity.within(1e-3, 1e-5)
        assert parity.masks < 0.01


@pytest.mark.parametrize("name", [FAMILIES[0], pytest.param(FAMILIES[1], marks=pytest.mark.slow), FAMILIES[2]])
def test_onnxruntime_detects_what_mmdet_does_in_batches_of_any_sizes(tmp_path, name):
    model = scrambled(families.family(name))
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("name", "ratios"),
    [
        (FAMILIES[0], "1:1,1:9"),
        (FAMILIES[2], "1:9,1:1,1:3"),
        pytest.param(FAMILIES[0], "1:9,1:1,1:3", marks=pytest.mark.slow),
        pytest.param(FAMILIES[2], "1:1,1:9", marks=pytest.mark.slow),
    ],
)
def test_folded_heads_detect_as_the_ensemble(tmp_path, name, ratios):
    cfg = families.family(name)
    set_method(cfg, ratios=parse_ratios(ratios))
    model = scrambled(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "weights.pth")
    stock = stock_detector(cfg, tmp_path / "weights.pth")
    write_onnx(stock.detector, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "name",
    [
        "faster-rcnn_r50_fpn_rga-prm_1x_coco",
        pytest.param("cascade-rcnn_r50_fpn_rga-prm_1x_coco", marks=pytest.mark.slow),
    ],
)
def test_the_papers_detectors_fold_and_leave_with_roi_features_as_mmdet_1_takes_them(tmp_path, name):
    cfg = families.shrunken(load_config(name))
    assert not cfg.model.roi_head.bbox_roi_extractor.roi_layer.aligned
    model = scrambled(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "weights.pth")
    stock = stock_detector(cfg, tmp_path / "weights.pth")
    write_onnx(stock.detector, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx")


def test_images_without_objects_yield_none(tmp_path):
    model = scrambled(families.family(MASKS[0]))
    model.roi_head.test_cfg.score_thr = 1.0
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    number, boxes, scores, labels, masks = by_onnxruntime(tmp_path / "model.onnx", (64, 64), (32, 50))
    assert number.tolist() == [0, 0]
    assert number.dtype == labels.dtype == np.int64
    assert boxes.dtype == scores.dtype == masks.dtype == np.float32
    for filling in (boxes, scores, labels + 1, masks):
        assert filling.shape[:2] == (2, 20)
        assert not filling.any()


@pytest.mark.parametrize("count", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_what_is_found_on_the_images_of_the_trace_does_not_matter(tmp_path, count):
    model, suppress = scrambled(families.family(MASKS[0])), _NonMaxSuppression.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_NonMaxSuppression, "forward", staticmethod(lambda *inputs: suppress(*inputs)[:count]))
        write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", BATCHES[2:])


def test_masks_are_the_ensembles(tmp_path):
    cfg = families.family(MASKS[0])
    set_method(cfg, ratios=parse_ratios("1:1,1:9"))
    model = scrambled(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "weights.pth")
    write_onnx(stock_detector(cfg, tmp_path / "weights.pth").detector, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx")
    written = onnx.load(tmp_path / "model.onnx")
    assert {prop.key: json.loads(prop.value) for prop in written.metadata_props}["mask_threshold"] == 0.5
    assert dimensions(written.graph.output[-1]) == ("masks", ["batch", 20, 28, 28])


@pytest.mark.slow
def test_masks_of_an_unknown_head_stay_behind_and_are_told_of(tmp_path, caplog):
    class Own(FCNMaskHead):
        pass

    caplog.set_level(logging.INFO, "rgacli")
    model = scrambled(families.family(MASKS[0]))
    model.roi_head.mask_head.__class__ = Own
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert caplog.messages == ["the mask head stays behind: ONNX files have masks of mmdet's FCNMaskHead alone"]
    written = onnx.load(tmp_path / "model.onnx")
    assert [output.name for output in written.graph.output] == ["num_dets", "boxes", "scores", "labels"]
    assert not any("mask_head" in weights.name for weights in written.graph.initializer)


def dimensions(value):
    """Name and shape of an input or output."""
    return value.name, [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


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
    assert "BGR in [0, 255]" in onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().description
    assert [dimensions(taken) for taken in written.graph.input] == [
        ("images", ["batch", 3, "height", "width"]),
        ("sizes", ["batch", 2]),
    ]
    assert [dimensions(given) for given in written.graph.output] == [
        ("num_dets", ["batch"]),
        ("boxes", ["batch", 20, 4]),
        ("scores", ["batch", 20]),
        ("labels", ["batch", 20]),
    ]


@pytest.mark.slow
def test_without_a_limit_there_are_as_many_rows_as_the_fullest_image_has_detections(tmp_path):
    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.test_cfg.max_per_img = -1
    write_onnx(model, tmp_path / "model.onnx", **ABOUT)
    assert_same(model, tmp_path / "model.onnx", BATCHES[2:])
    number, boxes, *_ = by_onnxruntime(tmp_path / "model.onnx", *BATCHES[2])
    assert boxes.shape[1] == number.max() > number.min()
    assert dimensions(onnx.load(tmp_path / "model.onnx").graph.output[1]) == ("boxes", ["batch", "detections", 4])


def test_a_failed_export_leaves_what_was_there(tmp_path):
    (tmp_path / "model.onnx").write_text("before")
    retinanet = tiny.build(families.family("retinanet/retinanet_r50_fpn_1x_coco").model)
    with pytest.raises(UsageError, match="RetinaNet: ONNX files are made of FasterRCNN"):
        write_onnx(retinanet, tmp_path / "model.onnx", **ABOUT)
    assert (tmp_path / "model.onnx").read_text() == "before"


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
