"""ONNX files of detectors: the names in them, and the packages that make and run them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgacli.errors import UsageError

IMAGE, OUTPUTS = "image", ("boxes", "scores", "labels")
"""What goes into the graph and what comes out: an image, and detections after NMS."""
CLASSES, RESIZE, PROVENANCE = "classes", "resize", "provenance"
"""Keys of the metadata, whose values are JSON: class names by label, the resizing, and where the file comes from."""


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
