"""A detector in an ONNX file that `rgacli.export_onnx` wrote, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.detections import Detections, Prediction, by_size
from rgacli.files import parse_json
from rgacli.inference.detector import ImageDetector, Prepared
from rgacli.inference.masks import paste_masks
from rgacli.inference.onnx_format import (
    CLASSES,
    COUNT,
    IMAGES,
    MASK_THRESHOLD,
    MASKS,
    OUTPUTS,
    RESIZE,
    SIZES,
    import_onnx,
    quiet_session,
)
from rgacli.method import WHOLE
from rgacli.wording import function

_IMAGE = "image"
"""The input of files that were written before there were batches; what they give is an image's OUTPUTS."""
_LONGEST = 100_000  # px; more is no image's side
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxDetector(ImageDetector):
    """A detector in an ONNX file; its only variant is "detector".

    Args:
        path: The file.
        device: "cpu", or "cuda:1" where onnxruntime is one with CUDA; "auto" takes CUDA where it is.

    Raises:
        UsageError: the file cannot be read, or `rgacli.export_onnx` did not write it; there is no such device; the
            package onnxruntime is missing.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        runtime = import_onnx("onnxruntime")
        providers = _providers(runtime, device)
        if not path.is_file():
            raise UsageError(f"{path} does not exist, or is a folder.")
        try:
            self._session = session = quiet_session(path, providers)
        except Exception as error:  # onnxruntime's own kinds
            raise UsageError(f"{path} is damaged or is no ONNX file ({str(error).splitlines()[0]}).") from error
        if device.startswith("cuda") and _PROVIDERS["cuda"] not in self._session.get_providers():
            raise UsageError(f"device {device!r} cannot be used: onnxruntime finds no CUDA or cuDNN that fits it.")
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            classes, resize = (parse_json(metadata[key]) for key in (CLASSES, RESIZE))
            if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
                raise ValueError(f"classes {classes}")
            pipeline = _pipeline(**(resize or {}))
            self._mask_threshold = parse_json(metadata[MASK_THRESHOLD]) if MASK_THRESHOLD in metadata else None
        except (LookupError, ValueError, TypeError) as error:
            raise UsageError(
                f"{path} was not written by {function('export_onnx')}: its metadata do not say what it detects, "
                "and how."
            ) from error
        inputs, outputs = ({each.name for each in ends} for ends in (session.get_inputs(), session.get_outputs()))
        self._path, self._one_at_a_time = path, inputs == {_IMAGE}
        self._outputs = [COUNT, *OUTPUTS, *[MASKS] * (self._mask_threshold is not None)]
        asked = OUTPUTS if self._one_at_a_time else self._outputs
        if not (self._one_at_a_time or inputs == {IMAGES, SIZES}) or not outputs >= set(asked):
            raise UsageError(f"{path} was not written by {function('export_onnx')}: it takes or gives something else.")
        init_default_scope("mmdet")  # whose transforms the pipeline names
        super().__init__({WHOLE: WHOLE}, classes, pipeline)

    def detect(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on images of one input size at once; see ImageDetector."""
        return by_size(images, self.detect_together)

    def detect_together(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on images as one batch, of any sizes: they are padded to the largest, as mmdet does."""
        metas = [image["data_samples"].metainfo for image in images]
        if self._one_at_a_time:
            alone = ({_IMAGE: image["inputs"][None].float().numpy()} for image in images)
            return [
                self._prediction(meta, *self._run(OUTPUTS, image)) for meta, image in zip(metas, alone, strict=True)
            ]
        sizes = np.array([image["inputs"].shape[1:] for image in images], np.int64)
        batch = np.zeros((len(images), 3, *sizes.max(axis=0)), np.float32)
        for row, image, (height, width) in zip(batch, images, sizes, strict=True):
            row[:, :height, :width] = image["inputs"]
        counts, *rows = self._run(self._outputs, {IMAGES: batch, SIZES: sizes})
        return [
            self._prediction(meta, *(values[:count] for values in own))
            for meta, count, *own in zip(metas, counts, *rows, strict=True)
        ]

    def _run(self, outputs: Sequence[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self._session.run(outputs, inputs)
        except Exception as error:  # onnxruntime's own kinds
            raise RunFailed(f"{self._path} cannot be run ({str(error).splitlines()[0]}); export it again.") from error

    def _prediction(
        self,
        meta: dict[str, Any],
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
        masks: np.ndarray | None = None,
    ) -> Prediction:
        """Return an image's detections in its own pixels, by mmdet's metadata."""
        boxes = boxes * np.array([1 / factor for factor in meta.get("scale_factor", (1, 1))] * 2, np.float32)
        if masks is not None:
            masks = paste_masks(masks, boxes, meta["ori_shape"], self._mask_threshold)
        return {WHOLE: Detections(boxes=boxes, scores=scores, labels=labels, classes=self.classes, masks=masks)}


def _pipeline(scale: Sequence[int] | None = None, keep_ratio: bool = False) -> list[dict[str, Any]]:
    """Return mmdet's transforms, from an image file to the detector's input; without a scale, it is not resized.

    Raises:
        ValueError: the scale is not (width, height) px.
    """
    if scale and (len(scale) != 2 or not all(isinstance(side, int) and 0 < side <= _LONGEST for side in scale)):
        raise ValueError(f"scale {scale}")
    steps = [dict(type="Resize", scale=tuple(scale), keep_ratio=keep_ratio)] if scale else []
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    return [dict(type="LoadImageFromFile"), *steps, dict(type="PackDetInputs", meta_keys=keys)]


def _providers(runtime: Any, device: str) -> list[Any]:
    """Return what onnxruntime is to run on, best first.

    Raises:
        UsageError: there is no such device.
    """
    available = runtime.get_available_providers()
    if device == "auto":
        return [provider for provider in (_PROVIDERS["cuda"], _PROVIDERS["cpu"]) if provider in available]
    kind, colon, index = device.partition(":")
    if _PROVIDERS.get(kind) not in available or (colon and not index.isdecimal()):
        raise UsageError(f"device {device!r} cannot be used: this onnxruntime has {', '.join(available)}.")
    return [(_PROVIDERS[kind], {"device_id": int(index or 0)} if kind == "cuda" else {})]
