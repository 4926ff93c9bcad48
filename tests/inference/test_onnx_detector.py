import numpy as np
import onnx
import pytest
import torch

from rgacli.config.dataset import set_dataset
from rgacli.data.layout import find_dataset
from rgacli.errors import DataError, RunFailed, UsageError
from rgacli.export.onnx import write_onnx
from rgacli.export.parity import compare_detections
from rgacli.export.stock import stock_detector
from rgacli.inference.detector import Detector, inference_dataset
from rgacli.inference.onnx_detector import OnnxDetector
from tests.support import families, inferring
from tests.support.inferring import pixels
from tests.support.tracing import MASKS


@pytest.fixture(scope="module")
def cfg(finished_run):
    return inferring.config(finished_run)


@pytest.fixture(scope="module")
def checkpoint(cfg, tmp_path_factory):
    return inferring.save(cfg.model, tmp_path_factory.mktemp("weights") / "model.pth")


@pytest.fixture(scope="module")
def path(cfg, checkpoint, tmp_path_factory):
    """The file of a detector with two heads, folded."""
    path = tmp_path_factory.mktemp("onnx") / "fold.onnx"
    model = stock_detector(cfg, checkpoint).detector
    pipeline = inference_dataset(cfg).pipeline
    write_onnx(model, path, classes=("disc", "ring", "bar"), pipeline=pipeline, provenance={})
    return path


@pytest.mark.parametrize("size", [(48, 64), (96, 40), (200, 300)])
def test_it_finds_what_the_ensemble_does_in_the_images_pixels(path, cfg, checkpoint, size):
    exported, own = OnnxDetector(path), Detector(cfg, checkpoint, "cpu")
    assert exported.heads == ("detector",)
    found, expected = exported(pixels(*size))["detector"], own(pixels(*size))["ensemble"]
    assert len(expected) > 0
    assert compare_detections([found], [expected]).within(1e-3, 1e-5)
    assert found.boxes[:, 2].max() > size[1] / 2
    assert found.classes == ("disc", "ring", "bar")


def test_what_is_found_does_not_depend_on_the_batch(path):
    detector, images = OnnxDetector(path, "cpu"), [pixels(48, 64), pixels(96, 40, 1), pixels(48, 64, 2)]
    together = detector(images, batch_size=3)
    alone = [detector(image)["detector"] for image in images]
    assert compare_detections([found["detector"] for found in together], alone).within(1e-3, 1e-5)
    assert len(alone[0]) > 0


def test_images_of_several_sizes_are_padded_as_mmdet_does(path, cfg, checkpoint):
    images = [pixels(48, 64), pixels(96, 40, 1), pixels(16, 80, 2)]
    found, expected = (
        detector.detect_together([detector.prepare(image) for image in images])
        for detector in (OnnxDetector(path, "cpu"), Detector(cfg, checkpoint, "cpu"))
    )
    expected = [own["ensemble"] for own in expected]
    assert compare_detections([own["detector"] for own in found], expected).within(1e-3, 1e-5)
    assert min(map(len, expected)) > 0


def test_masks_are_put_into_the_image(tiny_dataset, tmp_path):
    cfg = families.trainable(MASKS[0])
    set_dataset(cfg, find_dataset(tiny_dataset))
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    own = Detector(cfg, inferring.save(cfg.model, tmp_path / "model.pth"), "cpu")
    pipeline = inference_dataset(cfg).pipeline
    write_onnx(own.model, tmp_path / "model.onnx", classes=("disc", "ring", "bar"), pipeline=pipeline, provenance={})
    exported, images = OnnxDetector(tmp_path / "model.onnx", "cpu"), [pixels(48, 72), pixels(96, 80)]
    found, expected = ([prediction["detector"] for prediction in detector(images)] for detector in (exported, own))
    assert found[0].masks.shape == (len(expected[0]), 48, 72)
    assert found[0].masks.dtype == bool
    parity = compare_detections(found, expected)
    assert parity.within(1e-3, 1e-5)
    assert parity.masks < 0.05


def test_a_file_from_before_there_were_batches_still_runs(tmp_path):
    """Such a file takes one image; here it finds a box of the image's size."""
    helper, kind = onnx.helper, onnx.TensorProto
    outputs = {"boxes": (kind.FLOAT, 2), "scores": (kind.FLOAT, 1), "labels": (kind.INT64, 1)}
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["image"], ["shape"]),
            helper.make_node("Gather", ["shape", "order"], ["size"]),
            helper.make_node("Cast", ["size"], ["corner"], to=kind.FLOAT),
            helper.make_node("Concat", ["origin", "corner"], ["boxes"], axis=1),
            helper.make_node("Identity", ["half"], ["scores"]),
            helper.make_node("Cast", ["half"], ["labels"], to=kind.INT64),
        ],
        "before",
        [helper.make_tensor_value_info("image", kind.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(name, kind, [None] * axes) for name, (kind, axes) in outputs.items()],
        [
            onnx.numpy_helper.from_array(np.array([[3, 2]]), "order"),
            onnx.numpy_helper.from_array(np.zeros((1, 2), np.float32), "origin"),
            onnx.numpy_helper.from_array(np.array([0.5], np.float32), "half"),
        ],
    )
    before = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(before, {"classes": '["a"]', "resize": '{"scale": [64, 64], "keep_ratio": true}'})
    onnx.save(before, tmp_path / "before.onnx")
    found = OnnxDetector(tmp_path / "before.onnx", "cpu")([pixels(48, 96), pixels(96, 96), pixels(48, 96)])
    assert [own["detector"].boxes.tolist() for own in found] == [[[0, 0, 96, 48]], [[0, 0, 96, 96]], [[0, 0, 96, 48]]]
    assert (found[0]["detector"].names, found[0]["detector"].scores.tolist()) == (["a"], [0.5])


def test_a_file_that_is_no_image_is_refused(path, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        OnnxDetector(path)(tmp_path / "gone.png")


def test_a_file_that_is_not_there_or_no_onnx_is_refused(tmp_path):
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(UsageError, match="does not exist, or is a folder"):
            OnnxDetector(path)
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(UsageError, match=r"text\.onnx is damaged or is no ONNX file"):
        OnnxDetector(tmp_path / "text.onnx")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"classes": '["a"]'},
        {"classes": "nonsense", "resize": "null"},
        {"classes": '["a"]', "resize": "[1]"},
        {"classes": '["a"]', "resize": '{"size": 3}'},
    ],
)
def test_an_onnx_file_of_others_is_refused(path, tmp_path, metadata):
    foreign = onnx.load(path)
    del foreign.metadata_props[:]
    onnx.helper.set_model_props(foreign, metadata)
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match=r"foreign\.onnx was not written by rgacli\.export_onnx"):
        OnnxDetector(tmp_path / "foreign.onnx")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cpu:one", "nonsense"])
def test_a_device_that_is_not_there_is_refused(path, device):
    with pytest.raises(UsageError, match=f"^device '{device}' cannot be used: this onnxruntime has .*CPU"):
        OnnxDetector(path, device)


def test_it_is_resized_as_the_test_pipeline_does(path, cfg, checkpoint):
    exported, own = (
        detector.prepare(pixels(48, 64))["inputs"]
        for detector in (OnnxDetector(path), Detector(cfg, checkpoint, "cpu"))
    )
    assert exported.shape[1:] != (48, 64)
    assert torch.equal(exported, own)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("classes", value) for value in ("null", "[]", "3", '"abc"', "[1, 2]", '{"a": 1}', "[" * 100_000)),
        *(("resize", value) for value in ("3", '{"scale": 5}', '{"scale": [0, 0]}', '{"scale": ["a", "b"]}')),
        *(("resize", value) for value in ('{"scale": [1e9, 1e9]}', '{"scale": [9, 9, 9]}', '{"other": 1}')),
    ],
)
def test_metadata_that_say_nothing_of_use_are_refused(path, tmp_path, key, value):
    model = onnx.load(path)
    next(each for each in model.metadata_props if each.key == key).value = value
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(UsageError, match="its metadata do not say what it detects"):
        OnnxDetector(tmp_path / "odd.onnx", "cpu")


def test_a_model_with_other_outputs_is_refused(path, tmp_path):
    model = onnx.load(path)
    del model.graph.output[1:]
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(UsageError, match="it takes or gives something else"):
        OnnxDetector(tmp_path / "odd.onnx", "cpu")


def test_what_fails_at_work_is_told_by_the_files_name(path, monkeypatch):
    detector = OnnxDetector(path, "cpu")
    short = detector.prepare(pixels(48, 64))
    monkeypatch.setattr("rgacli.inference.onnx_detector.SIZES", "nosuch")
    with pytest.raises(RunFailed, match=rf"{path} cannot be run \(.*nosuch.*\); export it again"):
        detector.detect_together([short])
