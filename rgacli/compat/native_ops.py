"""`mmcv._ext` on torchvision's kernels.

mmcv-lite ships mmcv's Python without its compiled module, and full mmcv has no wheels for current torch.
`install()` puts a stand-in for that module in place; it has to run before anything imports `mmcv.ops`.
Where a real `mmcv._ext` is installed, that one is used.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import torch
import torchvision
from torch import Tensor

from rgacli.errors import UsageError

_NAME = "mmcv._ext"


class MissingOp(UsageError):
    """An mmcv op that only the full mmcv has."""

    def __init__(self, op: str) -> None:
        super().__init__(
            f"mmcv's native op '{op}' is not among those that rgacli supplies on torchvision "
            f"({', '.join(supplied_ops())}); install the full package in its place: "
            "pip uninstall -y mmcv-lite && pip install mmcv==2.1.0 (compiles for about half an hour)."
        )


def install() -> None:
    """Make `import mmcv._ext` work; do nothing where it already does."""
    if _NAME not in sys.modules and importlib.util.find_spec(_NAME) is None:
        sys.modules[_NAME] = _build_stand_in()


def origin() -> str:
    """Return which ops are in use: "torchvision" (ours) or the path of the real `mmcv._ext`."""
    install()
    if isinstance(sys.modules.get(_NAME), _StandIn):
        return "torchvision"
    return str(importlib.util.find_spec(_NAME).origin)


def supplied_ops() -> tuple[str, ...]:
    """Return the names of the ops that the stand-in supplies."""
    return tuple(sorted(_OPS))


class _StandIn(ModuleType):
    def __getattr__(self, op: str) -> Callable[..., NoReturn]:
        # mmcv.ops asks for every op by name when it is imported; only a call may fail.
        if op.startswith("__"):
            raise AttributeError(op)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise MissingOp(op)

        return missing


def _build_stand_in() -> ModuleType:
    module = _StandIn(_NAME, "mmcv's native ops on torchvision's kernels (rgacli.compat.native_ops).")
    # mmengine asks for the spec when it looks whether mmcv has its ops.
    module.__spec__ = ModuleSpec(_NAME, loader=None, origin="rgacli.compat.native_ops")
    for name, op in _OPS.items():
        setattr(module, name, op)
    module.get_compiler_version = lambda: f"none (torchvision {torchvision.__version__})"
    module.get_compiling_cuda_version = lambda: str(torch.version.cuda)
    return module


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices kept, by falling score.

    boxes: (N, 4) xyxy; scores: (N,); offset: 1 counts a box's last pixel.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(wide(boxes), wide(scores), iou_threshold)


def wide(tensor: Tensor) -> Tensor:
    """Return float32 for half precision: torchvision's kernels lack bfloat16, and would add up gradients in half."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Crop RoI features. input: (B, C, H, W); rois: (N, 5); output: (N, C, h, w), written in place."""
    if pool_mode != 1:
        raise MissingOp("roi_align_forward with max pooling")
    # torchvision reads a sampling ratio of 0 or less as "adaptive", as mmcv does.
    size = (aligned_height, aligned_width)
    output.copy_(torchvision.ops.roi_align(wide(input), wide(rois), size, spatial_scale, sampling_ratio, aligned))


def _roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Compute the gradient. grad_output: (N, C, h, w); grad_input: (B, C, H, W), written in place."""
    if torch.are_deterministic_algorithms_enabled():
        # On a GPU the kernel is not: torchvision's function, differentiated at 0, which will do as crops are linear.
        size = (aligned_height, aligned_width)
        with torch.enable_grad():
            zeros = wide(torch.zeros_like(grad_input)).requires_grad_()
            crops = torchvision.ops.roi_align(zeros, wide(rois), size, spatial_scale, sampling_ratio, aligned)
        grad_input.copy_(*torch.autograd.grad(crops, zeros, wide(grad_output)))
        return
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            wide(grad_output),
            wide(rois),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Compute the losses.

    input, output: (N, C), the latter written in place; target: (N,), C for background; weight: (C,) or empty.
    """
    output.copy_(_focal_loss(wide(input), target, weight, gamma, alpha))


def _sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Compute the derivative of each loss by its own logit. grad_input: (N, C), written in place."""
    with torch.enable_grad():
        logits = wide(input).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_focal_loss(logits, target, weight, gamma, alpha).sum(), logits)
    grad_input.copy_(gradient)


def _focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    classes = input.size(1)
    one_hot = torch.nn.functional.one_hot(target, classes + 1)[:, :classes].to(input.dtype)
    loss = torchvision.ops.sigmoid_focal_loss(input, one_hot, alpha, gamma)
    if not len(weight):
        return loss
    return loss * torch.cat([weight, weight.new_ones(1)])[target][:, None]  # background has no weight of its own


_OPS: dict[str, Callable[..., Any]] = {
    "nms": _nms,
    "roi_align_forward": _roi_align_forward,
    "roi_align_backward": _roi_align_backward,
    "sigmoid_focal_loss_forward": _sigmoid_focal_loss_forward,
    "sigmoid_focal_loss_backward": _sigmoid_focal_loss_backward,
}
