"""One image of the embedded dataset: a cluttered background, objects and distractors that hide one another."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from rgacli.data.shapes import CLASSES, DISTRACTORS, Outline, blob
from rgacli.data.textures import CLASS_TEXTURES, COMMON_TEXTURES, Texture

T = TypeVar("T")

CLASS_NAMES = tuple(CLASSES)
MEDIAN_OBJECTS = 5  # COCO's
MIN_SIDE = 14.0  # px, the geometric mean of a box's sides: smaller than this the classes look alike
MAX_SIDE = 0.5  # of the image's shorter side
MIN_VISIBLE = 0.65  # of an object's own pixels; a later object that would hide more finds another place
COVERAGE = 0.55  # of the image, by all its objects: bounds their size where there are many
PLACES_TRIED = 40
SUPERSAMPLING = 3
HUE_SPREAD = 0.03  # of the colour circle, around which the classes' hues lie evenly
MIN_CONTRAST = 45  # of 255, mean over the channels, between an object's colours and to what lies below it


@dataclass(frozen=True)
class SceneObject:
    """A labelled object: `label` indexes CLASS_NAMES, `bbox` is (x, y, w, h) px and `area` px² of the whole shape."""

    label: int
    bbox: tuple[float, float, float, float]
    area: float


@dataclass(frozen=True)
class _Sprite:
    """A shape at its size, not yet at its place or in its colours.

    Attributes:
        alpha: (h, w) float in [0, 1], the share of each pixel that the shape covers.
        mix: (h, w) float in [0, 1], the part of `alpha` that has the second colour.
        bbox: (x, y, w, h) px of the shape within the sprite.
    """

    alpha: np.ndarray
    mix: np.ndarray
    bbox: tuple[float, float, float, float]

    @property
    def solid(self) -> np.ndarray:
        """(h, w) bool: the pixels that the shape hides."""
        return self.alpha > 0.5


def object_count(rng: np.random.Generator, max_objects: int, median_objects: float = MEDIAN_OBJECTS) -> int:
    """Draw a number of objects: 1 … max_objects with COCO's shape, by default a third each for 1–3, 4–7 and 8 or more.

    Args:
        rng: Decides it.
        max_objects: The most.
        median_objects: Half the images have no more.
    """
    return int(np.clip(round(rng.lognormal(np.log(median_objects), 0.95)), 1, max_objects))


def draw_scene(
    rng: np.random.Generator, image_size: tuple[int, int], max_objects: int, median_objects: float = MEDIAN_OBJECTS
) -> tuple[np.ndarray, list[SceneObject]]:
    """Draw one image.

    Args:
        rng: Decides everything in it.
        image_size: (width, height) px.
        max_objects: The most labelled objects in it; the least is 1. Those that find no place are left out.
        median_objects: As for `object_count`.

    Returns:
        (H, W, 3) uint8 RGB, and its objects, each at least MIN_VISIBLE visible.
    """
    width, height = image_size
    wanted = object_count(rng, max_objects, median_objects)
    labels: list[int | None] = [*rng.integers(len(CLASS_NAMES), size=wanted).tolist(), *[None] * rng.integers(6)]
    labels[1:] = [labels[index] for index in 1 + rng.permutation(len(labels) - 1)]  # an object first: it has room
    largest = np.clip(np.sqrt(COVERAGE * width * height / wanted), 1.3 * MIN_SIDE, MAX_SIDE * min(image_size))

    canvas = _background(rng, image_size)
    layers = _Layers(width, height)
    objects: list[SceneObject] = []
    for label in labels:
        sprite = _sprite(rng, label, side=np.exp(rng.uniform(np.log(MIN_SIDE), np.log(largest))))
        corner = _find_place(rng, layers, sprite.solid)
        if corner is None:
            continue
        left, top = corner
        layers.put(left, top, sprite.solid, is_object=label is not None)
        hue = None if label is None else label / len(CLASS_NAMES)
        _paint(canvas[top : top + len(sprite.alpha), left : left + len(sprite.alpha[0])], sprite, hue, rng)
        if label is not None:
            x, y, w, h = sprite.bbox
            objects.append(SceneObject(label, (left + x, top + y, w, h), float(sprite.alpha.sum())))
    canvas += rng.normal(0, 4, size=(height, width, 1))
    return _to_bytes(canvas), objects


class _Layers:
    """Which object is on top at each pixel, and how much of each still shows."""

    def __init__(self, width: int, height: int) -> None:
        self.top = np.full((height, width), -1)
        self.visible = np.zeros(0)  # pixels of each object that show
        self.needed = np.zeros(0)  # pixels of each object that have to

    def allow(self, left: int, top: int, solid: np.ndarray) -> bool:
        """Return whether every object stays visible enough with a shape of these pixels put over it."""
        return bool(np.all(self.visible - self._hidden(left, top, solid) >= self.needed))

    def put(self, left: int, top: int, solid: np.ndarray, *, is_object: bool) -> None:
        """Put a shape on top of all."""
        self.visible -= self._hidden(left, top, solid)
        self._window(left, top, solid)[solid] = len(self.visible) if is_object else -1
        if is_object:
            self.visible = np.append(self.visible, solid.sum())
            self.needed = np.append(self.needed, MIN_VISIBLE * solid.sum())

    def _window(self, left: int, top: int, solid: np.ndarray) -> np.ndarray:
        rows, columns = solid.shape
        return self.top[top : top + rows, left : left + columns]

    def _hidden(self, left: int, top: int, solid: np.ndarray) -> np.ndarray:
        return np.bincount(self._window(left, top, solid)[solid] + 1, minlength=len(self.visible) + 1)[1:]


def _find_place(rng: np.random.Generator, layers: _Layers, solid: np.ndarray) -> tuple[int, int] | None:
    """Return a (left, top) where the shape lies in the image and hides no object too far; None if none was found."""
    (rows, columns), (height, width) = solid.shape, layers.top.shape
    if rows > height or columns > width:
        return None
    for _ in range(PLACES_TRIED):
        left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
        if layers.allow(left, top, solid):
            return left, top
    return None


def _sprite(rng: np.random.Generator, label: int | None, side: float) -> _Sprite:
    """Draw the outline of a class (or of a distractor) turned, stretched and scaled to `side` px."""
    if label is None:
        outline = _pick(rng, (*DISTRACTORS, blob(rng)))
        texture = _pick(rng, (*COMMON_TEXTURES, *CLASS_TEXTURES.values()))
    else:
        outline = CLASSES[CLASS_NAMES[label]]
        texture = CLASS_TEXTURES.get(CLASS_NAMES[label]) or _pick(rng, COMMON_TEXTURES)

    angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.18)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shape_to_pixels = turn @ np.diag([stretch, 1 / stretch])
    shape_to_pixels *= side / np.sqrt(np.ptp(outline.points @ shape_to_pixels, axis=0).prod())
    corners = outline.points @ shape_to_pixels
    w, h = np.ptp(corners, axis=0).tolist()
    x, y = rng.uniform(0, 1, size=2).tolist()  # objects do not sit on whole pixels
    size = (int(np.ceil(x + w)), int(np.ceil(y + h)))
    alpha, mix = _rasterise(outline, texture, shape_to_pixels, [x, y] - corners.min(axis=0), size)
    return _Sprite(alpha, mix, (x, y, w, h))


def _rasterise(
    outline: Outline, texture: Texture, shape_to_pixels: np.ndarray, origin: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return `alpha` and `mix` of a sprite of `size` (w, h) px with its shape's origin at `origin`, anti-aliased."""
    columns, rows = SUPERSAMPLING * np.array(size)
    mask = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(mask)
    for polygon, value in ((outline.points, 255), (outline.hole, 0)):
        if polygon is not None:
            corners = SUPERSAMPLING * (polygon @ shape_to_pixels + origin) - 0.5
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=value)

    x = (np.arange(columns, dtype=np.float32) + 0.5) / SUPERSAMPLING - origin[0]
    y = (np.arange(rows, dtype=np.float32) + 0.5) / SUPERSAMPLING - origin[1]
    (ux, vx), (uy, vy) = np.linalg.inv(shape_to_pixels).astype(np.float32)
    field = texture(ux * x + uy * y[:, None], vx * x + vy * y[:, None])
    mixed = Image.fromarray((field * np.asarray(mask)).astype(np.uint8))
    alpha, mix = (np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32) / 255 for image in (mask, mixed))
    return alpha, mix


def _paint(window: np.ndarray, sprite: _Sprite, hue: float | None, rng: np.random.Generator) -> None:
    """Blend the sprite, in two colours that stand out from one another and from below, into a view of the canvas.

    The first colour has about the given hue, which helps to tell a class as colour does in photographs.
    """
    below = window.mean(axis=(0, 1))
    first = _colour(rng, away_from=(below,), hue=hue)
    second = _colour(rng, away_from=(first, below))
    alpha, mix = sprite.alpha[:, :, None], sprite.mix[:, :, None]
    window *= 1 - alpha
    window += first * (alpha - mix) + second * mix


def _colour(rng: np.random.Generator, away_from: Sequence[np.ndarray] = (), hue: float | None = None) -> np.ndarray:
    """Return a random (3,) RGB colour in 0 … 255, far from each of some others; of about a hue in 0 … 1 if given."""
    while True:
        any_hue, saturation, value = rng.uniform((0, 0.3, 0.2), (1, 1, 1))
        near = any_hue if hue is None else (hue + rng.normal(0, HUE_SPREAD)) % 1
        colour = 255 * np.array(colorsys.hsv_to_rgb(near, saturation, value), dtype=np.float32)
        if all(np.abs(colour - other).mean() >= MIN_CONTRAST for other in away_from):
            return colour


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[rng.integers(len(options))]


def _background(rng: np.random.Generator, image_size: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3) float32: a muted colour with clouds, thin lines and grain over it."""
    width, height = image_size
    base = 60 + 0.4 * _colour(rng)
    clouds = base + rng.normal(0, rng.uniform(5, 25), size=(5, 6, 3))
    image = Image.fromarray(_to_bytes(clouds)).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(12)):
        ends = rng.uniform(-0.2, 1.2, size=(2, 2)) * image.size
        colour = _to_bytes(base + rng.normal(0, 45, size=3))
        draw.line([tuple(end) for end in ends.tolist()], fill=tuple(colour.tolist()), width=3)
    grain = rng.normal(0, rng.uniform(2, 8), size=(height, width, 1))
    return np.asarray(image.reduce(2)) + grain.astype(np.float32)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)
