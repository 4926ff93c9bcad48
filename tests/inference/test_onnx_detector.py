import numpy as np
import onnx
import pytest
import torch

from rgacli.errors import DataError, UsageError
from rgacli.export.onnx import write_onnx
from rgacli.export.parity import compare_detections
from rgacli.export.stock import stock_detector
from rgacli.inference.detector import Detector, inference_dataset
from rgacli.inference.onnx_detector import OnnxDetector
from tests.support import inferring
from tests.support.inferring import pixels


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


def test_several_images_are_one_after_the_other(path):
    detector, images = OnnxDetector(path, "cpu"), [pixels(48, 64), pixels(96, 40), pixels(48, 64)]
    for image, found in zip(images, detector(images, batch_size=2), strict=True):
        np.testing.assert_array_equal(found["detector"].boxes, detector(image)["detector"].boxes)


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
