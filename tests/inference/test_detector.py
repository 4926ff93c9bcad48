import copy

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from rgacli.config.dataset import set_dataset
from rgacli.config.recipe import set_method
from rgacli.data.layout import find_dataset
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.detections import Detections
from rgacli.inference.detector import Detector
from tests.support import families, inferring, tiny
from tests.support.inferring import pixels, save


@pytest.fixture(scope="module")
def cfg(finished_run):
    return inferring.config(finished_run)


@pytest.fixture(scope="module")
def checkpoint(cfg, tmp_path_factory):
    return save(cfg.model, tmp_path_factory.mktemp("weights") / "model.pth")


@pytest.fixture(scope="module")
def detector(cfg, checkpoint):
    return Detector(cfg, checkpoint, "cpu")


def assert_same(found, expected, tolerance=0.0):
    assert list(found) == list(expected)
    for head, detections in found.items():
        assert len(detections) == len(expected[head]) > 0
        np.testing.assert_allclose(detections.scores, expected[head].scores, atol=tolerance, rtol=0)
        np.testing.assert_allclose(detections.boxes, expected[head].boxes, atol=100 * tolerance, rtol=0)
        np.testing.assert_array_equal(detections.labels, expected[head].labels)


def test_every_head_and_the_ensemble_find_objects_in_the_images_pixels(detector):
    found = detector(pixels(96, 128))
    assert detector.heads == tuple(found) == ("1:1", "1:9", "ensemble")
    assert detector.names == {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}
    for detections in found.values():
        assert detections.boxes.shape == (len(detections), 4)
        assert detections.boxes[:, 2].max() > 64  # not those of the input, which is resized
        assert set(detections.names) <= set(detector.classes)
        assert detections.masks is None
    assert not np.array_equal(found["1:1"].scores, found["1:9"].scores)


def test_it_finds_what_mmdets_own_inference_finds(cfg, detector):
    from mmdet.apis import inference_detector

    model = copy.copy(detector.model)
    model.cfg = cfg
    expected = inference_detector(model, pixels()).pred_instances.numpy()
    found = detector(pixels())["ensemble"]
    assert len(found) > 0
    np.testing.assert_array_equal(found.boxes, expected.bboxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.labels, expected.labels)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
def test_what_is_found_does_not_depend_on_the_batch(detector, batch_size):
    images = [pixels(48, 64, 0), pixels(64, 48, 1), pixels(48, 64, 2), pixels(16, 80, 3), pixels(64, 48, 4)]
    together = detector(images, batch_size=batch_size)
    assert len(together) == len(images)
    for image, found in zip(images, together, strict=True):
        assert_same(found, detector(image), tolerance=1e-5)


def test_no_images_are_no_predictions(detector):
    assert detector([]) == []


def test_a_file_is_seen_as_its_pixels_in_opencvs_order_are(detector, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), pixels())
    (found, named), direct = detector([tmp_path / "a.png", str(tmp_path / "a.png")]), detector(pixels())
    assert_same(found, direct, tolerance=1e-5)
    assert_same(named, direct, tolerance=1e-5)
    swapped = detector(pixels()[..., ::-1])
    assert not np.array_equal(swapped["ensemble"].scores, direct["ensemble"].scores)


def test_an_image_is_turned_as_its_exif_data_say(detector, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored lying, to be turned clockwise
    lying = Image.fromarray(np.rot90(pixels())[..., ::-1])
    lying.save(tmp_path / "a.png", exif=exif)
    assert_same(detector(tmp_path / "a.png"), detector(pixels()))


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_file_that_is_no_image_is_refused_by_name(detector, tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg: (not an image|cannot be read)"):
        detector(path)


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_an_array_that_is_no_image_is_refused(detector, image):
    with pytest.raises(DataError, match=r"an array \(height, width, 3\) of uint8"):
        detector(image)


def test_a_thin_image_keeps_a_pixel_of_its_side(detector):
    assert detector.prepare(np.zeros((1, 5000, 3), np.uint8))["inputs"].shape == (3, 1, 160)
    assert all(np.isfinite(found.boxes).all() for found in detector(np.zeros((5000, 1, 3), np.uint8)).values())


def test_an_image_that_cannot_be_resized_is_refused(detector, monkeypatch):
    monkeypatch.setattr(detector, "_prepare", lambda image: cv2.resize(image["img"], (0, 0)))
    with pytest.raises(DataError, match="an image of 50x2 pixels cannot be resized"):
        detector(np.zeros((2, 50, 3), np.uint8))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_no_image_is_refused(detector, batch_size):
    with pytest.raises(UsageError, match=f"batch_size={batch_size}: at least one"):
        detector([pixels()], batch_size=batch_size)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_refused(cfg, checkpoint, device):
    with pytest.raises(UsageError, match=f"device '{device}' cannot be used"):
        Detector(cfg, checkpoint, device)


def test_a_config_that_prepares_no_images_is_refused(checkpoint):
    cfg = tiny.tiny_config()
    cfg.test_dataloader = None
    with pytest.raises(UsageError, match="has no test_dataloader"):
        Detector(cfg, checkpoint, "cpu")


def of_family(name, tiny_dataset, method):
    cfg = families.trainable(name)
    set_dataset(cfg, find_dataset(tiny_dataset))
    if method:
        set_method(cfg)
    cfg.model.test_cfg.get("rcnn", cfg.model.test_cfg).score_thr = 0.0
    return cfg


def test_masks_are_those_of_the_ensembles_boxes(tiny_dataset, tmp_path):
    cfg = of_family("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", tiny_dataset, method=True)
    found = Detector(cfg, save(cfg.model, tmp_path / "model.pth"), "cpu")(pixels(48, 72))
    ensemble = found.pop("ensemble")
    assert ensemble.masks.shape == (len(ensemble), 48, 72)
    assert ensemble.masks.dtype == bool
    assert ensemble.masks.any()
    for mask, (x1, y1, x2, y2) in zip(ensemble.masks, ensemble.boxes, strict=True):
        rows, columns = mask.nonzero()
        assert np.all((rows >= y1 - 1) & (rows <= y2 + 1) & (columns >= x1 - 1) & (columns <= x2 + 1))
    assert all(detections.masks is None for detections in found.values())


def test_a_detector_without_parallel_heads_is_one_head(tiny_dataset, tmp_path):
    cfg = of_family("retinanet/retinanet_r50_fpn_1x_coco", tiny_dataset, method=False)
    detector = Detector(cfg, save(cfg.model, tmp_path / "model.pth"), "cpu")
    assert detector.heads == ("detector",)
    assert detector.classes == find_dataset(tiny_dataset).classes
    assert len(detector(pixels())["detector"]) > 0


def test_detections_are_cut_at_a_score():
    found = Detections(
        boxes=np.arange(12.0).reshape(3, 4),
        scores=np.array([0.9, 0.5, 0.1]),
        labels=np.array([1, 0, 1]),
        classes=("a", "b"),
        masks=np.arange(3).reshape(3, 1, 1) > 0,
    )
    kept = found.above(0.5)
    assert kept.names == ["b", "a"]
    assert kept.scores.tolist() == [0.9, 0.5]
    assert kept.boxes.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert kept.masks.tolist() == [[[False]], [[True]]]
    assert len(found.above(0.91)) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_finds_what_the_cpu_finds(cfg, checkpoint, detector):
    assert_same(Detector(cfg, checkpoint, "cuda:0")(pixels()), detector(pixels()), tolerance=1e-3)
