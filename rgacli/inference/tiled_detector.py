"""A detector that looks at large images tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rgacli.evaluation.detections import Detections, Prediction
from rgacli.evaluation.tiles import Tiles, Tiling, cut
from rgacli.evaluation.views import require_no_masks
from rgacli.inference.detector import Detector, ImageDetector, Prepared


class TiledDetector(ImageDetector):
    """Another detector on the tiles of an image, with what each head finds on them merged.

    Args:
        detector: The other detector.
        tiling: Where tiles lie.
        batch_size: How many tiles go through the detector at once, at most.

    Raises:
        UsageError: the detector makes masks.
    """

    def __init__(self, detector: ImageDetector, tiling: Tiling, batch_size: int = 4) -> None:
        if isinstance(detector, Detector):
            require_no_masks(detector.model, "tiles")
        self.names, self.classes = detector.names, detector.classes
        self._detector, self._tiling, self._batch_size = detector, tiling, batch_size

    def read(self, path: str | Path) -> np.ndarray:
        """See ImageDetector."""
        return self._detector.read(path)

    def prepare(self, pixels: np.ndarray) -> Prepared:
        """Put each tile of an image (H, W, 3), uint8 BGR, through the detector's pipeline."""
        boxes = self._tiling.boxes(*pixels.shape[:2])
        return {"tiles": Tiles(boxes, [self._detector.prepare(tile) for tile in cut(pixels, boxes)])}

    def detect(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Detect on the tiles of all images together; see ImageDetector."""
        tiled: list[Tiles] = [image["tiles"] for image in images]
        prepared = [tile for tiles in tiled for tile in tiles.prepared]
        found: list[Prediction] = []
        for start in range(0, len(prepared), self._batch_size):
            found += self._detector.detect(prepared[start : start + self._batch_size])
        remaining = iter(found)
        return [self._merge([next(remaining) for _ in tiles.boxes], tiles) for tiles in tiled]

    def _merge(self, found: Sequence[Prediction], tiles: Tiles) -> Prediction:
        merged = {}
        for head in self.heads:
            arrays = self._tiling.merge([_arrays(prediction[head]) for prediction in found], tiles.boxes)
            merged[head] = Detections(
                boxes=arrays["bboxes"], scores=arrays["scores"], labels=arrays["labels"], classes=self.classes
            )
        return merged


def _arrays(found: Detections) -> dict[str, np.ndarray]:
    arrays = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
    return arrays if found.masks is None else {**arrays, "masks": found.masks}
