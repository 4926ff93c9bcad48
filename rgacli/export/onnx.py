"""A detector of mmdet's own classes as an ONNX file, whose graph reaches from pixels to detections after NMS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rgacli.errors import UsageError
from rgacli.export.traceable import TraceableDetector
from rgacli.export.tracing import require_any_size, trace, warn_of_untested_torch
from rgacli.files import replacing
from rgacli.inference.onnx_format import (
    BATCH,
    CLASSES,
    COUNT,
    DESCRIPTION,
    MASK_THRESHOLD,
    MASKS,
    OUTPUTS,
    PROVENANCE,
    RESIZE,
    import_onnx,
)
from rgacli.messages import tell

_READING = {"LoadImageFromFile", "LoadAnnotations", "PackDetInputs"}
_ABOUT_READING = {"type", "backend_args", "to_float32"}  # settings that leave pixels as they are


def write_onnx(
    model: nn.Module,
    path: Path,
    *,
    classes: Sequence[str],
    pipeline: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> None:
    """Write the detector, for batches of any number of images of any size; see `onnx_format.DESCRIPTION`.

    A mask head of another kind than mmdet's FCNMaskHead is left out, and told of.

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
    if traceable.masks:
        metadata[MASK_THRESHOLD] = model.roi_head.test_cfg.mask_thr_binary
    elif model.roi_head.with_mask:
        tell("the mask head stays behind: ONNX files have masks of mmdet's FCNMaskHead alone")
    names = (*OUTPUTS, MASKS) if traceable.masks else OUTPUTS
    warn_of_untested_torch()
    with replacing(path) as temporary:
        require_any_size(traceable, temporary)
        trace(traceable, temporary, {COUNT: {0: BATCH}, **{name: {0: BATCH, 1: "detections"} for name in names}})
        written = onnx.load(temporary)
        if (limit := model.roi_head.test_cfg.max_per_img) > 0:
            for output in written.graph.output[1:]:
                output.type.tensor_type.shape.dim[1].dim_value = limit
        written.doc_string = DESCRIPTION
        onnx.helper.set_model_props(written, {key: json.dumps(value) for key, value in metadata.items()})
        onnx.checker.check_model(written)
        onnx.save(written, temporary)


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
