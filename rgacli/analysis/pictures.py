"""Pictures of what a detector found: boxes, masks and labels on the image, heads side by side, and beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import matplotlib
import numpy as np

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from mmdet.evaluation import bbox_overlaps
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rgacli.analysis.style import PALETTE
from rgacli.evaluation.detections import Detections, Prediction

SAME_OBJECT_IOU = 0.5

_COLORS = [ImageColor.getrgb(color) for color in (*PALETTE, "#000000")]
_SMALL = 640  # px: a smaller image is enlarged by a whole factor, for its labels to be read
_COLUMNS = 3
_MASK_OPACITY = 0.4


@dataclass(frozen=True)
class _Scale:
    """Sizes that suit a picture: a factor to enlarge the image by, line width and font size in px."""

    enlarge: int
    line: int
    font: int

    @classmethod
    def of(cls, height: int, width: int) -> _Scale:
        enlarge = max(1, round(_SMALL / max(height, width)))
        mean = enlarge * (height + width) / 2
        return cls(enlarge, line=max(2, round(mean / 300)), font=max(11, round(mean / 50)))


def annotate(pixels: np.ndarray, found: Detections, emphasised: np.ndarray | None = None) -> np.ndarray:
    """Return the image with what was found on it, in colours by class.

    Args:
        pixels: (H, W, 3) uint8 BGR. One whose longer side is well below 640 px is enlarged by a whole factor.
        found: The detections to draw.
        emphasised: (D,) bool: only these are drawn in thick lines and with a label; all, without.

    Returns:
        (s·H, s·W, 3) uint8 BGR.
    """
    height, width = pixels.shape[:2]
    scale = _Scale.of(height, width)
    image = Image.fromarray(_with_masks(pixels, found)[..., ::-1])
    image = image.resize((scale.enlarge * width, scale.enlarge * height), Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(image)
    emphasised = np.ones(len(found), bool) if emphasised is None else emphasised
    boxes = found.boxes * scale.enlarge
    order = np.argsort(-found.scores, kind="stable")
    for index in order[::-1]:  # what is surest lies on top
        line = scale.line if emphasised[index] else max(1, scale.line // 2)
        canvas.rectangle(_ordered(boxes[index]), outline=_color(found.labels[index]), width=line)
    _draw_labels(canvas, found, boxes, order[emphasised[order]], scale)
    return np.asarray(image)[..., ::-1]


def side_by_side(pixels: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Draw a panel for each head and the ensemble; what not all of them found stands out by thick lines and a label.

    Args:
        pixels: (H, W, 3) uint8 BGR.
        prediction: What is drawn, by head.

    Returns:
        (H', W', 3) uint8 BGR: up to three panels in a row, each titled by its head.
    """
    scale, disputed = _Scale.of(*pixels.shape[:2]), find_disputed(prediction)
    panels = []
    for head, found in prediction.items():
        title = f"{head}: {len(found)} found"
        if number := disputed[head].sum():
            title += f", {number} not by all heads"
        panels.append(_titled(annotate(pixels, found, disputed[head]), title, scale.font))
    return _sheet(panels, scale)


def beside_truth(pixels: np.ndarray, truth: Detections, prediction: Prediction) -> np.ndarray:
    """Draw a panel of the objects and one for each head.

    By thick lines and a label stand out objects that not every head found, and what a head found where no object of
    that class is.

    Args:
        pixels: (H, W, 3) uint8 BGR.
        truth: The objects, whose scores are NaN: labels are of the class alone.
        prediction: What is drawn, by head.

    Returns:
        (H', W', 3) uint8 BGR: up to three panels in a row, each titled.
    """
    scale = _Scale.of(*pixels.shape[:2])
    missed = ~np.all([_is_among(truth, found) for found in prediction.values()], axis=0)
    title = f"ground truth: {len(truth)} objects"
    if number := missed.sum():
        title += f", {number} {'missed' if len(prediction) == 1 else 'not found by all'}"
    panels = [_titled(annotate(pixels, truth, missed), title, scale.font)]
    for head, found in prediction.items():
        wrong = ~_is_among(found, truth)
        title = f"{head}: {len(found)} found" + (f", {wrong.sum()} wrong" if wrong.any() else "")
        panels.append(_titled(annotate(pixels, found, wrong), title, scale.font))
    return _sheet(panels, scale)


def _sheet(panels: Sequence[np.ndarray], scale: _Scale) -> np.ndarray:
    """Return panels of one size beside and below each other."""
    columns = min(_COLUMNS, len(panels))
    height, width, gap = *panels[0].shape[:2], 2 * scale.line
    rows = ceil(len(panels) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, panel in enumerate(panels):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = panel
    return sheet


def find_disputed(prediction: Prediction) -> dict[str, np.ndarray]:
    """Return which detections some other head, or the ensemble, lacks: head -> (D,) bool.

    Two detections are of the same object if they are of one class and their IoU is at least 0.5.
    """
    disputed = {}
    for head, found in prediction.items():
        shared = np.ones(len(found), bool)
        for other in prediction.values():
            shared &= _is_among(found, other)
        disputed[head] = ~shared
    return disputed


def _is_among(found: Detections, other: Detections) -> np.ndarray:
    """Return whether `other` has an object too: (D,) bool."""
    same = bbox_overlaps(found.boxes, other.boxes) >= SAME_OBJECT_IOU
    return (same & (found.labels[:, None] == other.labels[None])).any(axis=1)


def _with_masks(pixels: np.ndarray, found: Detections) -> np.ndarray:
    if found.masks is None:
        return pixels
    pixels = pixels.copy()
    for mask, label in zip(found.masks, found.labels, strict=True):
        color = np.array(_color(label)[::-1])
        pixels[mask] = ((1 - _MASK_OPACITY) * pixels[mask] + _MASK_OPACITY * color).astype(np.uint8)
    return pixels


def _draw_labels(
    canvas: ImageDraw.ImageDraw, found: Detections, boxes: np.ndarray, indices: Sequence[int], scale: _Scale
) -> None:
    """Draw class and score by each box: above it, below it or inside, where no label is yet; the surest first."""
    font, pad = _font(scale.font), max(1, scale.font // 6)
    taken: list[tuple[float, float, float, float]] = []
    for index in indices:
        text, score = found.names[index], found.scores[index]
        text += "" if np.isnan(score) else f" {score:.2f}"
        left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        x1, y1, x2, y2 = boxes[index]
        corners = ((x1, y1 - height), (x1, y2), (x1, y1), (x2 - width, y1 - height), (x2 - width, y2 - height))
        spots = [_inside(canvas.im.size, x, y, width, height) for x, y in corners]
        spot = next((spot for spot in spots if not any(_overlap(spot, other) for other in taken)), spots[0])
        taken.append(spot)
        color = _color(found.labels[index])
        canvas.rectangle(spot, fill=color)
        canvas.text((spot[0] + pad - left, spot[1] + pad - top), text, font=font, fill=_ink(color))


def _inside(size: tuple[int, int], x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    """Return a rectangle of this size, xyxy, moved into the picture."""
    x, y = max(0.0, min(x, size[0] - width)), max(0.0, min(y, size[1] - height))
    return x, y, x + width, y + height


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ordered(box: np.ndarray) -> tuple[float, ...]:
    """Return a box that PIL draws: an empty one may have its corners exchanged by rounding."""
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, max(x1, x2), max(y1, y2)


def _titled(panel: np.ndarray, title: str, size: int) -> np.ndarray:
    """Return the panel below a line of text."""
    bar = Image.new("RGB", (panel.shape[1], 2 * size), "white")
    ImageDraw.Draw(bar).text((size // 2, size), title, font=_font(round(1.2 * size)), fill="black", anchor="lm")
    return np.concatenate([np.asarray(bar), panel])


def _color(label: int) -> tuple[int, int, int]:
    return _COLORS[int(label) % len(_COLORS)]


def _ink(color: tuple[int, int, int]) -> str:
    """Return black on light colours and white on dark ones, by their luminance (ITU-R BT.601)."""
    return "black" if np.dot(color, (0.299, 0.587, 0.114)) > 140 else "white"


def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib brings DejaVu Sans along, wherever it is installed.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)
