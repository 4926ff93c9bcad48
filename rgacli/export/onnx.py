"""A detector of mmdet's own classes as an ONNX file, whose graph reaches from pixels to detections after NMS.

torch traces it by its TorchScript exporter. The exporter on torch.export has no translation (torch 2.11, onnxscript
0.7) for the checks that it puts into a graph whose image size is left open.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rgacli.errors import UsageError
from rgacli.export.traceable import TraceableDetector
from rgacli.files import replacing
from rgacli.inference.onnx_format import CLASSES, IMAGE, OUTPUTS, PROVENANCE, RESIZE, import_onnx, quiet_session

_OPSET = 18
_EXAMPLE, _OTHERS = (150, 201), ((64, 96), (259, 190))
"""Heights and widths that a model is traced at, and then tried at."""

_READING = {"LoadImageFromFile", "LoadAnnotations", "PackDetInputs"}
_ABOUT_READING = {"type", "backend_args", "to_float32"}  # settings that leave pixels as they are
_DESCRIPTION = (
    "image: (1, 3, H, W) float32, BGR in [0, 255], any H and W, resized as the metadata say; normalised and padded "
    "by the model. boxes: (D, 4) xyxy in the image's pixels. scores: (D,), falling. labels: (D,), indices into the "
    "metadata's classes."
)


def write_onnx(
    model: nn.Module,
    path: Path,
    *,
    classes: Sequence[str],
    pipeline: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> None:
    """Write the detector, without its mask head, for one image at a time of any size.

    Args:
        model: A two-stage detector of mmdet's own classes, in eval mode on the CPU.
        path: The file.
        classes: Names, by label.
        pipeline: Of the test dataset: how images are resized goes into the metadata.
        provenance: Where the detector comes from: into the metadata, too.

    Raises:
        UsageError: the detector or its pipeline cannot be exported, or a package is missing.
    """
    onnx = import_onnx("onnx")
    import_onnx("onnxruntime")
    metadata = {CLASSES: list(classes), RESIZE: resizing(pipeline), PROVENANCE: dict(provenance)}
    traceable = TraceableDetector(model).eval()
    with replacing(path) as temporary:
        _require_any_size(traceable, temporary)
        _trace(traceable, temporary, OUTPUTS, {name: {0: "detections"} for name in OUTPUTS})
        written = onnx.load(temporary)
        written.doc_string = _DESCRIPTION
        written.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
        onnx.helper.set_model_props(written, {key: json.dumps(value) for key, value in metadata.items()})
        onnx.checker.check_model(written)
        onnx.save(written, temporary)


def _trace(model: nn.Module, path: Path, outputs: Sequence[str], sizes: Mapping[str, Mapping[int, str]]) -> None:
    """Write the graph of a model that takes an image (1, 3, H, W).

    Args:
        model: What is traced.
        path: The file.
        outputs: Names.
        sizes: Output -> its dimensions that depend on the image, by name.

    Raises:
        UsageError: it has an operation that torch cannot export.
    """
    try:
        with torch.no_grad(), _without_exporters_warnings(), _without_stdout():
            torch.onnx.export(
                model,
                (_random_image(_EXAMPLE),),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=[IMAGE],
                output_names=list(outputs),
                dynamic_axes={IMAGE: {2: "height", 3: "width"}, **sizes},
            )
    except torch.onnx.OnnxExporterError as error:  # such as Libra R-CNN's neck, which pools to a size of its own
        raise UsageError(
            f"torch cannot export this detector: {str(error).splitlines()[0][:120]}; mmdeploy may."
        ) from error


def _require_any_size(traceable: TraceableDetector, path: Path) -> None:
    """Try the backbone and neck, traced, at other sizes: some ask in Python for sizes, and a trace keeps the answer.

    Args:
        traceable: The detector.
        path: A file to use.

    Raises:
        UsageError: their features are not torch's.
    """

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.traceable = traceable

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            return tuple(traceable.features(image))

    model = Features().eval()
    with torch.no_grad():
        names = [f"level{level}" for level in range(len(model(_random_image(_EXAMPLE))))]
        _trace(model, path, names, {name: {2: f"{name}_height", 3: f"{name}_width"} for name in names})
        session = quiet_session(path)
        for size in _OTHERS:
            image = _random_image(size)
            try:
                found = session.run(names, {IMAGE: image.numpy()})
                same = all(map(_almost_equal, found, model(image)))
            except Exception:  # onnxruntime's own kinds, of shapes that do not fit
                same = False
            if not same:
                backbone = type(traceable.model.backbone).__name__
                raise UsageError(
                    f"{backbone} (or its neck) cannot be exported for images of any size: traced at "
                    f"{_EXAMPLE[1]}x{_EXAMPLE[0]} pixels, it is wrong at {size[1]}x{size[0]}; mmdeploy may know it."
                )


def _almost_equal(found: np.ndarray, expected: Tensor) -> bool:
    """Compare features, to a thousandth of the largest."""
    expected = expected.numpy()
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def _random_image(size: tuple[int, int]) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 255


def resizing(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what a test pipeline does to an image beyond reading it.

    Returns:
        `scale` (W, H) in px and `keep_ratio`; None where it does nothing.

    Raises:
        UsageError: it does something else.
    """
    steps = [{**step, "type": _plain_name(step["type"])} for step in pipeline]
    for step in steps:
        if step["type"] == "LoadImageFromFile" and (own := set(step) - _ABOUT_READING):
            raise UsageError(
                f"the test pipeline reads images by {', '.join(sorted(own))}: an ONNX file can tell its users of plain "
                "reading alone."
            )
    changing = [step for step in steps if step["type"] not in _READING]
    if not changing:
        return None
    names = ", ".join(step["type"] for step in changing)
    settings = {"keep_ratio": False, **changing[0]}
    plain = names == "Resize" and set(settings) == {"type", "scale", "keep_ratio"}
    scale = settings.get("scale")
    if not plain or not isinstance(scale, (int, list, tuple)):
        raise UsageError(
            f"the test pipeline prepares images by {names}: an ONNX file can tell its users of a plain Resize "
            "(scale, keep_ratio) alone."
        )
    return {"scale": [scale] * 2 if isinstance(scale, int) else list(scale), "keep_ratio": settings["keep_ratio"]}


def _plain_name(kind: str | type) -> str:
    """Return "Resize" for "mmdet.Resize", or for the class itself."""
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__


@contextmanager
def _without_exporters_warnings() -> Iterator[None]:
    """Ignore those of its age, of Python that looks at shapes (`_require_any_size`), and of constants not folded."""
    with warnings.catch_warnings():
        for category, message in (
            (DeprecationWarning, ""),
            (torch.jit.TracerWarning, ""),
            (UserWarning, "(Constant folding|Exporting aten::index)"),
        ):
            warnings.filterwarnings("ignore", message, category)
        yield


@contextmanager
def _without_stdout() -> Iterator[None]:
    """Mute the process's stdout: the exporter prints a graph that it fails on, past Python's own."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
