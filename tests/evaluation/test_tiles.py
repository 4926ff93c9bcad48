import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgacli.errors import UsageError
from rgacli.evaluation.tiles import Tiling, cut

sahi = pytest.mark.skipif(not find_spec("sahi"), reason="sahi is not installed")


@sahi
@settings(max_examples=25)
@given(st.integers(32, 900), st.integers(32, 900), st.sampled_from((64, 100, 256)), st.sampled_from((0, 0.2, 0.5)))
def test_tiles_cover_the_image_and_share_what_is_asked_for(height, width, size, overlap):
    boxes = Tiling(size, overlap).boxes(height, width)
    assert boxes[-1] == (0, 0, width, height) or len(boxes) == 1
    tiles = boxes[:-1] or boxes
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in tiles:
        covered[top:bottom, left:right] = True
        assert (right - left, bottom - top) == (min(size, width), min(size, height))
    assert covered.all()
    lefts = sorted({left for left, *_ in tiles})
    assert all(before + size - after >= int(overlap * size) for before, after in pairwise(lefts))


def visible(objects, boxes, least=4):
    """What a detector that misses nothing finds: of each object what lies in the tile, as surely as that is much."""
    found = []
    for left, top, right, bottom in boxes:
        clipped = objects.clip([left, top] * 2, [right, bottom] * 2)
        area, whole = ((of[:, 2:] - of[:, :2]).prod(axis=1) for of in (clipped, objects))
        seen = ((clipped[:, 2:] - clipped[:, :2]) >= least).all(axis=1)
        found.append(
            {
                "bboxes": (clipped - [left, top] * 2)[seen].astype(np.float32),
                "scores": (0.9 * area / whole)[seen].astype(np.float32),
                "labels": np.arange(len(objects))[seen] % 2,
            }
        )
    return found


@sahi
@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_objects_no_larger_than_the_overlap_are_found_once_and_whole_wherever_tiles_end(seed):
    rng, tiling = np.random.default_rng(seed), Tiling(128, 0.25)
    cells = np.stack(np.meshgrid(np.arange(0, 320, 40), np.arange(0, 200, 40)), axis=-1).reshape(-1, 2)
    corners = cells + rng.integers(0, 10, cells.shape)
    objects = np.concatenate([corners, corners + rng.integers(8, 28, corners.shape)], axis=1)  # none touches another
    boxes = tiling.boxes(240, 360)
    merged = tiling.merge(visible(objects, boxes), boxes)
    assert len(merged["bboxes"]) == len(objects)
    order = np.lexsort(merged["bboxes"].T[1::-1])
    expected = np.lexsort(objects.T[1::-1])
    assert merged["bboxes"][order] == pytest.approx(objects[expected], abs=1e-3)
    assert merged["scores"] == pytest.approx(np.full(len(objects), 0.9), abs=1e-3)
    assert (merged["labels"][order] == expected % 2).all()
    assert [value.dtype for value in merged.values()] == [np.float32, np.float32, np.int64]


@sahi
def test_an_object_that_only_just_fits_into_what_tiles_share_is_not_lost():
    tiling, objects = Tiling(128, 0.25), np.array([[97, 40, 127, 60]])  # px 96 to 128 are shared
    boxes = tiling.boxes(128, 224)
    assert boxes == [(0, 0, 128, 128), (96, 0, 224, 128), (0, 0, 224, 128)]
    *tiles, whole = visible(objects, boxes)
    nothing = {key: value[:0] for key, value in whole.items()}
    assert tiling.merge([*tiles, nothing], boxes)["bboxes"].tolist() == objects.tolist()


@sahi
def test_what_no_tile_holds_is_found_on_the_whole_image():
    tiling, objects = Tiling(100, 0.2), np.array([[20, 30, 280, 190]])
    boxes = tiling.boxes(200, 300)
    merged = tiling.merge(visible(objects, boxes), boxes)
    assert merged["bboxes"][0].tolist() == objects[0].tolist()
    assert merged["scores"][0] == pytest.approx(0.9)


@sahi
def test_a_small_image_is_one_tile_and_left_as_it_is():
    tiling, found = Tiling(64), {"bboxes": np.array([[0, 0, 9, 9.0]]), "scores": np.ones(1), "labels": np.ones(1)}
    boxes = tiling.boxes(48, 64)
    assert boxes == [(0, 0, 64, 48)]
    assert tiling.merge([found], boxes) == found
    empty = {"bboxes": np.zeros((0, 4), np.float32), "scores": np.zeros(0), "labels": np.zeros(0, int)}
    boxes = tiling.boxes(100, 100)
    assert tiling.merge([empty] * len(boxes), boxes)["bboxes"].shape == (0, 4)


@sahi
def test_masks_are_refused():
    with pytest.raises(UsageError, match="tiles=64: it merges boxes"):
        Tiling(64).merge([{"masks": np.zeros((0, 4, 4))}], [(0, 0, 4, 4)])


def test_tiles_are_cut_where_they_lie():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    (tile,) = cut(pixels, [(1, 2, 5, 4)])
    assert (tile == pixels[2:4, 1:5]).all()


@pytest.mark.parametrize(("values", "words"), [((31, 0.2), "tiles=31"), ((64, 0.95), "tile_overlap=0.95")])
def test_numbers_out_of_range_are_refused(values, words):
    with pytest.raises(UsageError, match=words):
        Tiling(*values)


def test_a_missing_package_costs_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sahi", None)
    monkeypatch.setitem(sys.modules, "sahi.slicing", None)
    with pytest.raises(UsageError, match=r"tiles=64 needs the package sahi: pip install sahi"):
        Tiling(64)
