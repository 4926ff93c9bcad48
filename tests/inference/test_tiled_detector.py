import numpy as np
import pytest
from scipy import ndimage

from rgacli.errors import UsageError
from rgacli.evaluation.detections import Detections
from rgacli.evaluation.tiles import Tiling
from rgacli.inference.detector import ImageDetector
from rgacli.inference.tiled_detector import TiledDetector
from tests.support.inferring import BrightnessDetector, pixels

pytest.importorskip("sahi")


class SpotDetector(ImageDetector):
    """Finds each bright spot of an image; the head 1:9 those alone that are wider than high."""

    def __init__(self):
        self.names, self.classes, self.seen = {"1to9": "1:9", "ensemble": "ensemble"}, ("spot",), []

    def prepare(self, pixels):
        return {"inputs": pixels}

    def detect(self, images):
        self.seen.append(len(images))
        return [self._found(image["inputs"]) for image in images]

    def _found(self, pixels):
        spots = ndimage.find_objects(ndimage.label(pixels[..., 0] > 128)[0])
        boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in spots], np.float32).reshape(-1, 4)
        wide = boxes[:, 2] - boxes[:, 0] > boxes[:, 3] - boxes[:, 1]
        found = {}
        for head, kept in (("1:9", wide), ("ensemble", np.ones(len(boxes), bool))):
            own = boxes[kept]
            found[head] = Detections(own, np.full(len(own), 0.5, np.float32), np.zeros(len(own), int), self.classes)
        return found


def spotted(size, *spots):
    """A black image (H, W) with white spots, xyxy."""
    image = np.zeros((*size, 3), np.uint8)
    for x1, y1, x2, y2 in spots:
        image[y1:y2, x1:x2] = 255
    return image


def test_objects_across_the_edges_of_tiles_are_found_once_by_each_head():
    # Tiles of 100 px, 20 of them shared, end at x = 100 and 180; rows at y = 100.
    across = [(90, 10, 106, 20), (20, 92, 30, 104), (95, 95, 109, 105), (172, 40, 187, 50)]
    beside = [(40, 40, 56, 50)]
    image = spotted((180, 260), *across, *beside)
    inner = SpotDetector()
    detector = TiledDetector(inner, Tiling(100, 0.2), batch_size=3)
    found = detector(image)
    assert list(found) == ["1:9", "ensemble"]
    for head, expected in (("1:9", [(20, 92, 30, 104)]), ("ensemble", [])):
        wanted = {*across, *beside} - set(expected)
        assert {tuple(box) for box in found[head].boxes.round().astype(int).tolist()} == wanted
        assert len(found[head]) == len(wanted)
    assert inner.seen == [3, 3, 1]  # 2 rows of 3 tiles, and the whole


def test_several_images_have_their_own():
    images = [spotted((100, 150), (10, 10, 20, 18)), spotted((60, 60), (30, 30, 40, 38)), spotted((200, 200))]
    found = TiledDetector(SpotDetector(), Tiling(100))(images, batch_size=3)
    assert [prediction["ensemble"].boxes.round().tolist() for prediction in found] == [
        [[10, 10, 20, 18]],
        [[30, 30, 40, 38]],
        [],
    ]


def test_a_small_image_is_looked_at_as_without_tiles():
    plain, image = BrightnessDetector(), pixels(48, 64)
    tiled = TiledDetector(plain, Tiling(64))
    for head, found in tiled(image).items():
        expected = plain(image)[head]
        assert (found.boxes == expected.boxes).all()
        assert (found.scores == expected.scores).all()
    assert tiled.heads == plain.heads


def test_masks_are_refused():
    class Masking(SpotDetector):
        def _found(self, pixels):
            masks = np.zeros((0, *pixels.shape[:2]), bool)
            nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), self.classes, masks)
            return dict.fromkeys(("1:9", "ensemble"), nothing)

    with pytest.raises(UsageError, match="makes masks"):
        TiledDetector(Masking(), Tiling(64))(spotted((100, 100)))
