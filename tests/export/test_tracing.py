import logging
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from rgacli.errors import UsageError
from rgacli.export.traceable import TraceableDetector
from rgacli.export.tracing import TESTED, require_any_size, trace, warn_of_untested_torch
from tests.support import families
from tests.support.tracing import FAMILIES, scrambled


class Sized(nn.Module):
    """A backbone that asks in Python for a size."""

    def __init__(self, backbone, ask):
        super().__init__()
        self.backbone, self.ask = backbone, ask

    def forward(self, images):
        return tuple(self.ask(features) for features in self.backbone(images))


@pytest.mark.parametrize(
    "ask",
    [
        lambda features: features * float(int(features.shape[-1])),
        lambda features: features * float(int(features.shape[0])),  # of images
        lambda features: features.reshape(int(features.shape[0]), -1, *map(int, features.shape[2:])),
        lambda features: features if int(features.shape[-1]) > 3 else -features,  # at the smaller size alone
    ],
)
def test_a_trace_that_holds_for_one_size_or_number_alone_is_refused(tmp_path, ask, capfd):
    model = scrambled(families.family(FAMILIES[0]))
    model.backbone = Sized(model.backbone, ask)
    with pytest.raises(
        UsageError,
        match=r"Sized \(or its neck\) cannot be exported for any number of images of any size: traced at 2 of 150x97 "
        r"pixels, it is wrong at 1 of 96x64; mmdeploy may know it\.",
    ):
        require_any_size(TraceableDetector(model).eval(), tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


class Sums(nn.Module):
    """Sums the pixels inside of each image."""

    def forward(self, images, sizes):
        return images.sum(dim=(1, 2, 3)) * sizes.prod(dim=1)


def test_a_graph_takes_any_number_of_images_of_any_size(tmp_path):
    trace(Sums(), tmp_path / "sums.onnx", {"sums": {0: "batch"}})
    onnx.checker.check_model(onnx.load(tmp_path / "sums.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "sums.onnx")
    for number, height, width in ((1, 5, 8), (4, 9, 2)):
        images, sizes = np.ones((number, 3, height, width), np.float32), np.full((number, 2), 2)
        (found,) = session.run(None, {"images": images, "sizes": sizes})
        assert found.tolist() == [3 * height * width * 4] * number


@pytest.mark.parametrize(
    ("version", "warned"),
    [("2.6.0", False), ("2.11.0+cpu", False), ("2.14.1", False), ("2.5.1", True), ("3.0.0a0", True)],
)
def test_a_torch_that_was_not_tested_is_warned_of(version, warned, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "rgacli")
    monkeypatch.setattr(torch, "__version__", version)
    warn_of_untested_torch()
    message = f"warning: exports to ONNX were tested with torch 2.6 to 2.14, and this is {version}"
    assert caplog.messages == [message] * warned


def test_the_package_asks_for_a_torch_that_was_tested():
    (first, minor), (last, most) = TESTED
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    (extra,) = re.findall(r"^onnx = .*$", text, re.MULTILINE)
    assert f'"torch>={first}.{minor},<{last}.{most + 1}"' in extra
