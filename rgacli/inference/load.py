"""From what lies on disk to a detector that runs."""

from __future__ import annotations

from rgacli.config.limits import set_limits
from rgacli.errors import UsageError
from rgacli.evaluation.max_dets import require_max_dets
from rgacli.inference.detector import Detector
from rgacli.inference.onnx_detector import OnnxDetector
from rgacli.messages import tell
from rgacli.trained import Trained
from rgacli.wording import param


def load_detector(trained: Trained, device: str = "auto", max_dets: int | None = None) -> Detector | OnnxDetector:
    """Return a trained detector, ready for images.

    Args:
        trained: Where it lies; without a config, it is an ONNX file.
        device: As torch names it ("cpu", "cuda:1"); "auto" takes CUDA where there is one.
        max_dets: Detections of an image that it can give: its config's limits are raised to it, in place; None for
            those of the config.

    Raises:
        UsageError: it cannot be used, there is no such device, or the limits cannot be raised.
    """
    require_max_dets(max_dets)
    if max_dets and trained.cfg is None:
        raise UsageError(f"{param('max_dets', max_dets)}: the limits in an ONNX file cannot be raised.")
    if max_dets and (raised := set_limits(trained.cfg, max_dets)):
        tell(f"{trained.name}: {raised}")
    if trained.cfg is None:
        return OnnxDetector(trained.checkpoint, device)
    return Detector(trained.cfg, trained.checkpoint, device)
