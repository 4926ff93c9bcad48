"""ONNX files of detectors: the names in them, and the packages that make and run them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgacli.errors import UsageError

IMAGES, SIZES = "images", "sizes"
"""What goes into the graph: a batch of images."""
COUNT, OUTPUTS, MASKS = "num_dets", ("boxes", "scores", "labels"), "masks"
"""What comes out: detections after NMS, with masks where there is a mask head."""
BATCH = "batch"
"""The dimension of the images of a batch."""
CLASSES, RESIZE, PROVENANCE, MASK_THRESHOLD = "classes", "resize", "provenance", "mask_threshold"
"""Keys of the metadata, whose values are JSON: class names by label, the resizing, where the file comes from, and the
probability from which on a pixel belongs to a mask, where there are masks."""

DESCRIPTION = """\
images: (N, 3, H, W) float32, BGR in [0, 255], any N, H and W, resized as the metadata say; normalised and padded by \
the model. sizes: (N, 2) int64, height and width of each image, which lies at the upper left of its H x W; what lies \
outside does not count. num_dets: (N,) int64, how many detections each image has: as many of its K rows, by falling \
score. boxes: (N, K, 4) xyxy in the image's pixels. scores: (N, K). labels: (N, K), indices into the metadata's \
classes. masks, of a detector with a mask head: (N, K, h, w), probabilities of a grid that fills the box. Rows after \
the detections hold 0, and the label -1."""
"""What a file says of its inputs and outputs."""


def import_onnx(package: str) -> Any:
    """Return the package `onnx` or `onnxruntime`, which not every user needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UsageError(f"ONNX files need the package {package}: pip install {package}.") from None


def quiet_session(path: Path, providers: Sequence[Any] = ("CPUExecutionProvider",)) -> Any:
    """Return onnxruntime's session of a file, which keeps its warnings to itself.

    Args:
        path: The file.
        providers: What onnxruntime is to run on, best first.

    Raises:
        UsageError: the package onnxruntime is missing.
    """
    runtime = import_onnx("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what is fatal; errors are raised
    return runtime.InferenceSession(path, options, providers=list(providers))
