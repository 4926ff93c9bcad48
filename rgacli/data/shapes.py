"""Outlines of the embedded dataset's objects, as polygons about the origin.

An object's class is its outline, told apart from a twin by its texture (`disc` and `ball`, `square` and
`checkerboard`). Colour, size, rotation and stretch say nothing about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outline:
    """A filled polygon, maybe with a hole.

    Attributes:
        points: (N, 2) float, in a plane whose unit has no meaning.
        hole: (M, 2) float in the same plane, or None.
    """

    points: np.ndarray
    hole: np.ndarray | None = None


def circle(radius: float = 1.0, corners: int = 40) -> np.ndarray:
    """Return (corners, 2) points on a circle about the origin."""
    return _arc(0, 2 * math.pi, radius, corners)


def blob(rng: np.random.Generator) -> Outline:
    """Return a lumpy shape that is none of the classes."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    lobes = rng.integers(2, 4)
    radius = 0.8 + 0.25 * np.sin(lobes * angle + rng.uniform(0, 6)) + rng.uniform(-0.12, 0.12, angle.size)
    return Outline(radius[:, None] * _direction(angle))


def _direction(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _arc(start: float, end: float, radius: float, corners: int) -> np.ndarray:
    return radius * _direction(np.linspace(start, end, corners))


def _star(arms: int = 5, waist: float = 0.42) -> np.ndarray:
    angle = np.arange(2 * arms) * np.pi / arms
    return np.where(np.arange(2 * arms) % 2, waist, 1.0)[:, None] * _direction(angle)


def _cross(width: float = 0.34) -> np.ndarray:
    corner = np.array([[1, -width], [1, width], [width, width]])  # one arm and the notch after it, turned four times
    quarter = np.array([[0, 1], [-1, 0]])
    return np.concatenate([corner @ np.linalg.matrix_power(quarter, turn) for turn in range(4)])


def _crescent(shift: float = 0.5, bite: float = 0.8) -> np.ndarray:
    """Return the unit disc less a disc of radius `bite` centred at (shift, 0)."""
    tip_x = (1 + shift**2 - bite**2) / (2 * shift)
    outer = math.acos(tip_x)
    inner = math.atan2(math.sqrt(1 - tip_x**2), tip_x - shift)
    back = _arc(2 * math.pi - inner, inner, bite, 16) + np.array([shift, 0])
    return np.concatenate([_arc(outer, 2 * math.pi - outer, 1.0, 28), back])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1) / 17


def _rectangle(aspect: float = 1.0) -> np.ndarray:
    return np.array([[-aspect, -1], [aspect, -1], [aspect, 1], [-aspect, 1]], dtype=float)


_DISC, _SQUARE = Outline(circle()), Outline(_rectangle())

CLASSES: dict[str, Outline] = {
    "disc": _DISC,
    "ball": _DISC,
    "ring": Outline(circle(), hole=circle(0.52)),
    "crescent": Outline(_crescent()),
    "square": _SQUARE,
    "checkerboard": _SQUARE,
    "triangle": Outline(circle(corners=4)[:3]),
    "star": Outline(_star()),
    "cross": Outline(_cross()),
    "heart": Outline(_heart()),
}

# Unlabelled shapes, near enough to the classes that telling "something" from "nothing" is not enough.
DISTRACTORS: tuple[Outline, ...] = (
    Outline(_rectangle(4.5)),  # a bar
    Outline(circle() * [3.2, 1]),  # a flat ellipse
    Outline(_rectangle(), hole=0.72 * _rectangle()),  # a frame
    Outline(np.array([[0, 0], [2, 0], [2, 0.6], [0.6, 0.6], [0.6, 2], [0, 2]]) - 0.8),  # an L
    Outline(np.array([[-1, -1], [0, 0.1], [1, -1], [1, -0.3], [0, 1], [-1, -0.3]])),  # a chevron
)
