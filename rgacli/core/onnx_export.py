"""A detector of mmdet's own classes as an ONNX file, whose graph reaches from pixels to detections after NMS.

torch traces it by its TorchScript exporter. The exporter on torch.export has no translation (torch 2.15, onnxscript
0.7) for the checks that it puts into a graph whose image size is left open.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rgacli.core.traceable import TraceableDetector
from rgacli.errors import UsageError
from rgacli.files import replacing

IMAGE, OUTPUTS = "image", ("boxes", "scores", "labels")
CLASSES, RESIZE, PROVENANCE = "classes", "resize", "provenance"
"""The file's metadata, each in JSON."""

_OPSET = 18
_EXAMPLE = (1, 3, 150, 201)  # a size like any other
_READING = {"LoadImageFromFile", "LoadAnnotations", "PackDetInputs"}
_DESCRIPTION = (
    "image: (1, 3, H, W) float32, BGR in [0, 255], any H and W, resized as the metadata say; normalised and padded "
    "by the model. boxes: (D, 4) xyxy in the image's pixels. scores: (D,), falling. labels: (D,), indices into the "
    "metadata's classes."
)


def export_onnx(
    model: nn.Module,
    path: Path,
    *,
    classes: Sequence[str],
    pipeline: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> None:
    """Writes the detector, without its mask head, for one image at a time of any size.

    Args:
        model: A two-stage detector of mmdet's own classes, in eval mode on the CPU.
        path: The file.
        classes: Names, by label.
        pipeline: Of the test dataset: how images are resized goes into the metadata.
        provenance: Where the detector comes from: into the metadata, too.

    Raises:
        UsageError: the detector or its pipeline cannot be exported, or the package onnx is missing.
    """
    onnx = import_onnx("onnx")
    metadata = {CLASSES: list(classes), RESIZE: resizing(pipeline), PROVENANCE: dict(provenance)}
    traceable = TraceableDetector(model).eval()
    image = torch.rand(_EXAMPLE, generator=torch.Generator().manual_seed(0)) * 255
    sizes = {IMAGE: {2: "height", 3: "width"}, **{name: {0: "detections"} for name in OUTPUTS}}
    with replacing(path) as temporary:
        try:
            with torch.no_grad(), _without_tracers_warnings():
                torch.onnx.export(
                    traceable,
                    (image,),
                    str(temporary),
                    dynamo=False,
                    opset_version=_OPSET,
                    input_names=[IMAGE],
                    output_names=list(OUTPUTS),
                    dynamic_axes=sizes,
                )
        except torch.onnx.OnnxExporterError as error:  # such as Libra R-CNN's neck, which pools to a size of its own
            raise UsageError(f"torch cannot export this detector: {str(error).splitlines()[0][:200]}") from error
        written = onnx.load(temporary)
        written.doc_string = _DESCRIPTION
        onnx.helper.set_model_props(written, {key: json.dumps(value) for key, value in metadata.items()})
        onnx.checker.check_model(written)
        onnx.save(written, temporary)


def resizing(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a test pipeline does to an image beyond reading it: `scale` (W, H) px and `keep_ratio`; None is nothing.

    Raises:
        UsageError: it does something else.
    """
    steps = [dict(step) for step in pipeline if step["type"].removeprefix("mmdet.") not in _READING]
    if not steps:
        return None
    (resize, *others) = steps
    kind, settings = resize.pop("type").removeprefix("mmdet."), {"keep_ratio": False, **resize}
    if others or kind != "Resize" or set(settings) != {"scale", "keep_ratio"}:
        names = ", ".join(step.get("type", kind) for step in steps)
        raise UsageError(
            f"the test pipeline prepares images by {names}: an ONNX file can tell its users of a plain Resize "
            "(scale, keep_ratio) alone."
        )
    scale = settings["scale"]
    return {"scale": [scale] * 2 if isinstance(scale, int) else list(scale), "keep_ratio": settings["keep_ratio"]}


def import_onnx(package: str) -> Any:
    """The package `onnx` or `onnxruntime`, which not every user needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return __import__(package)
    except ImportError:
        raise UsageError(f"ONNX files need the package {package}: pip install 'rgacli[onnx]' (or {package}).") from None


@contextmanager
def _without_tracers_warnings() -> Iterator[None]:
    """They are of the exporter's age, of mmdet's assertions on shapes, and of constants that are not folded."""
    with warnings.catch_warnings():
        for category, message in (
            (DeprecationWarning, ""),
            (torch.jit.TracerWarning, ""),
            (UserWarning, "(Constant folding|Exporting aten::index)"),
        ):
            warnings.filterwarnings("ignore", message, category)
        yield
