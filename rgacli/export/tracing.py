"""torch's TorchScript exporter, held to graphs that are right for batches of any number of images of any size.

The exporter on torch.export has no translation (torch 2.11, onnxscript 0.7) for the checks that it puts into a graph
whose image size is left open.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rgacli.errors import UsageError
from rgacli.export.traceable import TraceableDetector
from rgacli.inference.onnx_format import BATCH, IMAGES, SIZES, quiet_session
from rgacli.messages import tell

TESTED = ((2, 6), (2, 14))
"""The first and the last torch (major, minor) whose exporter the tests of exports were run with."""

_OPSET = 18
_EXAMPLE, _OTHERS = (2, 97, 150), ((1, 64, 96), (3, 170, 100))
"""Numbers, heights and widths of the images that a model is traced at, and then tried at."""


def trace(model: nn.Module, path: Path, outputs: Mapping[str, Mapping[int, str]]) -> None:
    """Write the graph of a model that takes images (N, 3, H, W) and their sizes (N, 2).

    Args:
        model: What is traced.
        path: The file.
        outputs: Name -> its dimensions that depend on the images, by name.

    Raises:
        UsageError: it has an operation that torch cannot export.
    """
    inputs = {IMAGES: {0: BATCH, 2: "height", 3: "width"}, SIZES: {0: BATCH}}
    try:
        with torch.no_grad(), _without_exporters_warnings(), _without_stdout():
            torch.onnx.export(
                model,
                _random_batch(*_EXAMPLE),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={**inputs, **outputs},
            )
    except torch.onnx.OnnxExporterError as error:  # such as Libra R-CNN's neck, which pools to a size of its own
        raise UsageError(
            f"torch cannot export this detector: {str(error).splitlines()[0][:120]}; mmdeploy may."
        ) from error


def require_any_size(traceable: TraceableDetector, path: Path) -> None:
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

        def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
            return tuple(traceable.features(images, sizes))

    model = Features().eval()
    with torch.no_grad():
        names = [f"level{level}" for level in range(len(model(*_random_batch(*_EXAMPLE))))]
        trace(model, path, {name: {0: BATCH, 2: f"{name}_height", 3: f"{name}_width"} for name in names})
        session = quiet_session(path)
        for tried in _OTHERS:
            images, sizes = _random_batch(*tried)
            try:
                found = session.run(names, {IMAGES: images.numpy(), SIZES: sizes.numpy()})
                same = all(map(_almost_equal, found, model(images, sizes)))
            except Exception:  # onnxruntime's own kinds, of shapes that do not fit
                same = False
            if not same:
                backbone, (at, there) = type(traceable.model.backbone).__name__, map(_worded, (_EXAMPLE, tried))
                raise UsageError(
                    f"{backbone} (or its neck) cannot be exported for any number of images of any size: traced at {at} "
                    f"pixels, it is wrong at {there}; mmdeploy may know it."
                )


def warn_of_untested_torch() -> None:
    """Tell if this torch is none of those that the exporter was tested with."""
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    first, last = TESTED
    if not first <= version <= last:
        from_to = " to ".join(".".join(map(str, end)) for end in TESTED)
        tell(f"warning: exports to ONNX were tested with torch {from_to}, and this is {torch.__version__}")


def _almost_equal(found: np.ndarray, expected: Tensor) -> bool:
    """Compare features, to a thousandth of the largest."""
    expected = expected.numpy()
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def _random_batch(number: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, H, W), and their sizes (N, 2)."""
    images = torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    return images, torch.tensor([[height, width]] * number)


def _worded(batch: tuple[int, int, int]) -> str:
    number, height, width = batch
    return f"{number} of {width}x{height}"


@contextmanager
def _without_exporters_warnings() -> Iterator[None]:
    """Ignore those of its age, of Python that looks at shapes (`require_any_size`), and of constants not folded."""
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
