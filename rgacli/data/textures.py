"""Textures of the embedded dataset: fields in [0, 1] that mix an object's two colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]


def plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Use the first colour alone."""
    return np.zeros_like(u)


def gradient(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Blend from the first colour to the second, along u."""
    return np.clip(0.5 + 0.5 * u, 0, 1)


def dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Draw dots of the second colour on the first."""
    return ((1.3 * u % 1 - 0.5) ** 2 + (1.3 * v % 1 - 0.5) ** 2 < 0.07).astype(u.dtype)


def stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Alternate five bands along u."""
    return (np.floor(2.5 * (u + 1)) % 2).astype(u.dtype)


def checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Alternate three by three fields over [-1, 1]²."""
    return ((np.floor(1.5 * (u + 1)) + np.floor(1.5 * (v + 1))) % 2).astype(u.dtype)


# The textures that make a class; objects of every other class wear a common one.
CLASS_TEXTURES: dict[str, Texture] = {"ball": stripes, "checkerboard": checks}
COMMON_TEXTURES: tuple[Texture, ...] = (plain, gradient, dots)
