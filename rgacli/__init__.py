"""R-CNN Gradient Annealing and Parallel R-CNN Modules for two-stage detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rgacli.inference.detector import ImageDetector

__version__ = "0.1.0"


def load(
    run_or_checkpoint: str | Path | None = None, config: str | Path | None = None, device: str = "auto"
) -> ImageDetector:
    """A trained detector, to be called on images.

    >>> detector = rgacli.load("bccd-prm")                 # or runs/bccd-prm, or its checkpoints/epoch_24.pth
    >>> detector.heads
    ('1:1', '1:9', 'ensemble')
    >>> found = detector("BloodImage_00007.jpg")["ensemble"].above(0.5)
    >>> found.boxes.shape, found.boxes[0].round()          # xyxy in the image's pixels
    ((11, 4), array([219.,  85., 415., 272.], dtype=float32))
    >>> found.names[0], found.scores[0].round(2)
    ('WBC', 0.96)
    >>> pixels = cv2.imread("BloodImage_00015.jpg")        # (H, W, 3) uint8 in BGR: of RGB, pass rgb[..., ::-1]
    >>> several = detector(["BloodImage_00007.jpg", "BloodImage_00011.jpg", pixels], batch_size=8)
    >>> [len(prediction["1:9"].above(0.5)) for prediction in several]
    [9, 10, 10]

    Args:
        run_or_checkpoint: A run's name or folder, a folder or an ONNX file that an export wrote, or a
            checkpoint; the latest run without.
        config: What the checkpoint was trained by: a bundled name, mmdet::… or a file. Not needed for one that lies
            in its run or its export.
        device: As torch names it ("cpu", "cuda:1"); "auto" takes CUDA where there is one.

    Returns:
        The detector: a callable, see `rgacli.inference.detector.ImageDetector`.

    Raises:
        rgacli.errors.UsageError: there is no such run, checkpoint, config or device, or they do not fit each other.
    """
    from rgacli import runs
    from rgacli.config.files import load_config
    from rgacli.errors import UsageError
    from rgacli.inference.detector import Detector

    path = Path(run_or_checkpoint or "")
    if runs.is_onnx(path):
        if config is not None:
            raise UsageError(f"{path}: an ONNX file takes no config.")
        from rgacli.inference.onnx_detector import OnnxDetector

        return OnnxDetector(path, device)
    if config is None and not path.is_file():
        run = runs.find_run(None if run_or_checkpoint is None else str(run_or_checkpoint))
        return Detector(load_config(str(run.config)), run.last_checkpoint(), device)
    if not path.is_file():
        raise UsageError(f"checkpoint {path} does not exist.")
    return Detector(load_config(str(config or runs.config_of(path))), path, device)
