from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgacli.data.check import gt_count_histogram
from rgacli.data.scenes import CLASS_NAMES, MIN_SIDE, MIN_VISIBLE, _Layers, _sprite, draw_scene, object_count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(32, 200), st.integers(32, 200), st.integers(1, 40))
def test_objects_lie_in_their_image_and_are_as_many_as_allowed(seed, width, height, max_objects):
    pixels, objects = draw_scene(np.random.default_rng(seed), (width, height), max_objects)
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8
    assert 1 <= len(objects) <= max_objects
    for thing in objects:
        x, y, w, h = thing.bbox
        assert min(x, y) >= 0
        assert x + w <= width
        assert y + h <= height
        assert np.sqrt(w * h) >= MIN_SIDE - 1e-6
        assert 0.2 * w * h < thing.area <= 1.1 * w * h


@pytest.mark.parametrize("label", range(len(CLASS_NAMES)))
def test_a_box_is_tight_around_its_shape(label):
    for seed in range(20):
        sprite = _sprite(np.random.default_rng(seed), label, side=20)
        rows, columns = (np.flatnonzero((sprite.alpha > 0.05).any(axis=axis)) for axis in (1, 0))
        x, y, w, h = sprite.bbox
        drawn = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert drawn == pytest.approx([x, y, x + w, y + h], abs=1.25)


rectangles = st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 12), st.integers(1, 12), st.booleans())


@given(st.lists(rectangles, max_size=12))
def test_no_object_is_hidden_too_far(shapes):
    layers, areas = _Layers(width=27, height=27), []
    for left, top, w, h, is_object in shapes:
        solid = np.ones((h, w), dtype=bool)
        if layers.allow(left, top, solid):
            layers.put(left, top, solid, is_object=is_object)
            areas += [w * h] * is_object
    showing = [(layers.top == index).sum() for index in range(len(areas))]
    assert showing == layers.visible.tolist()
    assert all(shown >= MIN_VISIBLE * area for shown, area in zip(showing, areas, strict=True))


def test_both_imbalances_are_there():
    counts = [object_count(np.random.default_rng(seed), 40) for seed in range(3000)]
    shares = {name: images / len(counts) for name, images in gt_count_histogram(counts).items()}
    assert shares["0"] == 0
    assert all(0.28 < shares[name] < 0.40 for name in ("1-3", "4-7", "8+"))
    assert max(counts) == 40


def test_crowded_images_keep_nearly_all_their_objects():
    drawn = wanted = 0
    for seed in range(40):
        drawn += len(draw_scene(np.random.default_rng(seed), (160, 128), 40)[1])
        wanted += object_count(np.random.default_rng(seed), 40)
    assert drawn > 0.95 * wanted


def test_no_class_is_rare():
    labels = Counter(
        thing.label for seed in range(60) for thing in draw_scene(np.random.default_rng(seed), (160, 128), 40)[1]
    )
    assert set(labels) == set(range(len(CLASS_NAMES)))
