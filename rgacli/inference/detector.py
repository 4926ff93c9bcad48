"""Trained detectors that take images: what `rgacli.load` returns and `rgacli.predict` runs."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from rgacli.config import dataset
from rgacli.config.recipe import parallel_ratios, variant_names
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.detections import Detections, Prediction, by_size, detections_by_variant
from rgacli.modeling.build import build_detector
from rgacli.wording import param

ImageSource = np.ndarray | str | Path
"""Pixels (H, W, 3) of uint8 in OpenCV's order, which is BGR; or an image file."""

Prepared = dict[str, Any]
"""An image as the detector takes it, packed by mmdet: `inputs` (3, H, W) uint8, and a data sample."""


class ImageDetector(ABC):
    """A trained detector, whatever runs it: a callable on images.

    Args:
        names: Variant as files are named -> head as it is called: {"1to1": "1:1", …, "ensemble": "ensemble"}.
        classes: Class names, by label.
        pipeline: Configs of mmdet's transforms, from an image file to the detector's input.
    """

    def __init__(self, names: Mapping[str, str], classes: Sequence[str], pipeline: Sequence[Mapping[str, Any]]) -> None:
        self.names, self.classes = dict(names), tuple(classes)
        loading, *steps = pipeline
        self._load = TRANSFORMS.build({**loading, "to_float32": False})
        self._prepare = Compose([{**loading, "type": "mmdet.LoadImageFromNDArray"}, *steps])

    @property
    def heads(self) -> tuple[str, ...]:
        """The keys of a prediction, in their order."""
        return tuple(self.names.values())

    def read(self, path: str | Path) -> np.ndarray:
        """Return an image file's pixels as evaluation loads them: (H, W, 3) uint8 BGR, turned as its EXIF data say.

        Raises:
            DataError: it is no image that can be read.
        """
        try:
            return self._load({"img_path": str(path)})["img"]
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except Exception as error:  # OpenCV's own, mmcv's assertion: the file is empty, damaged or of another kind
            raise DataError(f"{path}: not an image, or a damaged one.") from error

    @overload
    def __call__(self, images: ImageSource, batch_size: int = ...) -> Prediction: ...

    @overload
    def __call__(self, images: Sequence[ImageSource], batch_size: int = ...) -> list[Prediction]: ...

    def __call__(
        self, images: ImageSource | Sequence[ImageSource], batch_size: int = 4
    ) -> Prediction | list[Prediction]:
        """Return what every head and the ensemble find, in one forward pass.

        Args:
            images: One image, or several.
            batch_size: How many go through the detector at once, at most: images are batched with those of their own
                input size, so that none is padded for another's sake and what is found does not depend on the batch.

        Returns:
            A prediction for one image, a list of them for several.

        Raises:
            DataError: a file cannot be read, an array is no image, or an image cannot be resized.
            UsageError: a batch of no image.
        """
        require_batch(batch_size)
        if isinstance(images, (np.ndarray, str, Path)):
            return self([images], batch_size)[0]
        found: list[Prediction] = []
        for start in range(0, len(images), batch_size):
            found += self.detect([self.prepare(self._pixels(image)) for image in images[start : start + batch_size]])
        return found

    def _pixels(self, image: ImageSource) -> np.ndarray:
        return _checked(image) if isinstance(image, np.ndarray) else self.read(image)

    def prepare(self, pixels: np.ndarray) -> Prepared:
        """Put an image (H, W, 3), uint8 BGR, through the pipeline.

        Raises:
            DataError: it cannot be resized.
        """
        try:
            return self._prepare({"img": pixels, "img_id": 0})
        except (cv2.error, ValueError) as error:  # a side of less than a pixel, by OpenCV and by Pillow
            height, width = pixels.shape[:2]
            raise DataError(f"an image of {width}x{height} pixels cannot be resized for the detector.") from error

    @abstractmethod
    def detect(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Return what is found on each of some prepared images, which go through the detector at once."""


class Detector(ImageDetector):
    """A detector with a config and a checkpoint. Images go through the config's own test pipeline.

    Args:
        cfg: The detector's config, with a `test_dataloader` that says how images are prepared.
        checkpoint: Its weights.
        device: As torch names them ("cpu", "cuda:1"); "auto" is mmengine's choice, CUDA where there is one.

    Raises:
        UsageError: the config or the checkpoint cannot be used, or there is no such device.
    """

    def __init__(self, cfg: Config, checkpoint: Path, device: str = "auto") -> None:
        cfg = copy.deepcopy(cfg)
        if parallel_ratios(cfg):
            cfg.model.roi_head.keep_heads = True
        pipeline = inference_dataset(cfg).pipeline
        self.model = build_detector(cfg, checkpoint, None if device == "auto" else device, fused=True)
        super().__init__(variant_names(cfg), class_names(cfg), pipeline)

    def detect(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on images of one input size at once; see ImageDetector."""
        return by_size(images, self.detect_together)

    @torch.no_grad()
    def detect_together(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on images as one batch, of any sizes: mmdet pads them to the largest."""
        batch = {key: [image[key] for image in images] for key in ("inputs", "data_samples")}
        return [self._prediction(sample.to_dict()) for sample in self.model.test_step(batch)]

    def _prediction(self, sample: dict[str, Any]) -> Prediction:
        found = detections_by_variant(sample)  # in no order
        prediction = {}
        for variant, name in self.names.items():
            arrays = found[variant]
            prediction[name] = Detections(
                boxes=arrays["bboxes"],
                scores=arrays["scores"],
                labels=arrays["labels"],
                classes=self.classes,
                masks=arrays.get("masks"),
            )
        return prediction


def require_batch(batch_size: int) -> None:
    """Raise a UsageError unless a batch holds an image."""
    if batch_size < 1:
        raise UsageError(f"{param('batch_size', batch_size)}: at least one image goes through the detector at once.")


def class_names(cfg: Config) -> tuple[str, ...]:
    """Return the classes, by label: those of the test dataset, or those that mmdet gives that dataset's type."""
    init_default_scope(cfg.get("default_scope", "mmdet"))
    return dataset.class_names(inference_dataset(cfg))


def inference_dataset(cfg: Config) -> Any:
    """Return the dataset inside the test dataloader's wrappers, which has the pipeline and the class names.

    Raises:
        UsageError: there is no test dataloader, or no pipeline in it.
    """
    if not cfg.get("test_dataloader"):
        raise UsageError("the config has no test_dataloader, which says how images are prepared.")
    dataset = cfg.test_dataloader.dataset
    while "pipeline" not in dataset:
        if not (inner := [dataset[key] for key in ("dataset", "datasets") if dataset.get(key)]):
            raise UsageError("the config's test_dataloader has no pipeline, which says how images are prepared.")
        dataset = inner[0] if isinstance(inner[0], dict) else inner[0][0]
    return dataset


def _checked(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(
            f"an image is an array (height, width, 3) of uint8, BGR; this one is {pixels.shape} of {pixels.dtype}."
        )
    return np.ascontiguousarray(pixels)
