"""From what lies on disk to a detector that runs."""

from __future__ import annotations

from rgacli.inference.detector import Detector
from rgacli.inference.onnx_detector import OnnxDetector
from rgacli.trained import Trained


def load_detector(trained: Trained, device: str = "auto") -> Detector | OnnxDetector:
    """Return a trained detector, ready for images.

    Args:
        trained: Where it lies; without a config, it is an ONNX file.
        device: As torch names it ("cpu", "cuda:1"); "auto" takes CUDA where there is one.

    Raises:
        UsageError: it cannot be used, or there is no such device.
    """
    if trained.cfg is None:
        return OnnxDetector(trained.checkpoint, device)
    return Detector(trained.cfg, trained.checkpoint, device)
