"""A detector in an ONNX file that `rgacli.export_onnx` wrote, run by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

from rgacli.errors import UsageError
from rgacli.evaluation.detections import Detections, Prediction
from rgacli.inference.detector import ImageDetector, Prepared
from rgacli.inference.onnx_format import CLASSES, IMAGE, OUTPUTS, RESIZE, import_onnx, quiet_session
from rgacli.method import WHOLE
from rgacli.wording import function

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
            self._session = quiet_session(path, providers)
        except Exception as error:  # onnxruntime's own kinds
            raise UsageError(f"{path} is damaged or is no ONNX file ({str(error).splitlines()[0]}).") from error
        if device.startswith("cuda") and _PROVIDERS["cuda"] not in self._session.get_providers():
            raise UsageError(f"device {device!r} cannot be used: onnxruntime finds no CUDA or cuDNN that fits it.")
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            classes, resize = (json.loads(metadata[key]) for key in (CLASSES, RESIZE))
            pipeline = _pipeline(**(resize or {}))
        except (LookupError, ValueError, TypeError) as error:
            raise UsageError(
                f"{path} was not written by {function('export_onnx')}: its metadata do not say what it detects, "
                "and how."
            ) from error
        init_default_scope("mmdet")  # whose transforms the pipeline names
        super().__init__({WHOLE: WHOLE}, classes, pipeline)

    def detect(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on one image after the other; see ImageDetector."""
        return [self._detect_one(image["inputs"].numpy(), image["data_samples"].metainfo) for image in images]

    def _detect_one(self, pixels: np.ndarray, meta: dict[str, Any]) -> Prediction:
        """Detect on an image (3, H, W) uint8, with mmdet's metadata."""
        boxes, scores, labels = self._session.run(OUTPUTS, {IMAGE: pixels[None].astype(np.float32)})
        boxes = boxes * np.array([1 / factor for factor in meta.get("scale_factor", (1, 1))] * 2, np.float32)
        return {WHOLE: Detections(boxes=boxes, scores=scores, labels=labels, classes=self.classes)}


def _pipeline(scale: Sequence[int] | None = None, keep_ratio: bool = False) -> list[dict[str, Any]]:
    """Return mmdet's transforms, from an image file to the detector's input; without a scale, it is not resized."""
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
