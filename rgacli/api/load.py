"""Loading a trained detector."""

from __future__ import annotations

from pathlib import Path

from rgacli.inference.detector import ImageDetector
from rgacli.inference.load import load_detector
from rgacli.trained import find_trained, is_onnx


def load(
    run_or_checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    device: str = "auto",
    which: str = "last",
    max_dets: int | None = None,
    safe: bool = False,
) -> ImageDetector:
    """Return a trained detector, to be called on images.

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
        run_or_checkpoint: A run's name or folder, a folder or an ONNX file that an export wrote, or a checkpoint; the
            latest run without.
        config: What the checkpoint was trained by: a bundled name, mmdet::… or a file. Not needed for one that lies in
            its run or its export.
        device: As torch names it ("cpu", "cuda:1"); "auto" takes CUDA where there is one.
        which: Of a run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        max_dets: Detections of an image that the detector can give: its limits are raised to it, not lowered. By
            default they are as it was trained.
        safe: Run nothing of the config, which is Python: it is read as one of literals, and refused if it says more.

    Returns:
        The detector: a callable, see `rgacli.inference.detector.ImageDetector`.

    Raises:
        UsageError: there is no such run, checkpoint, config or device, or they do not fit each other.
    """
    path = None if run_or_checkpoint is None else Path(run_or_checkpoint)
    if path and (config or is_onnx(path) or path.suffix in (".pth", ".pt") or path.is_file()):
        trained = find_trained(checkpoint=path, config=config, which=which, onnx=True, safe=safe)
    else:
        trained = find_trained(run_or_checkpoint, config=config, which=which, safe=safe)
    return load_detector(trained, device, max_dets)
