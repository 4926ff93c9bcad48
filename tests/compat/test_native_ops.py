from pathlib import Path

import mmcv.ops
import mmdet
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.losses.focal_loss import FocalLoss, py_sigmoid_focal_loss

from rgacli.compat import native_ops
from rgacli.errors import UsageError
from tests.support import tiny
from tests.support.processes import python, python_code

SMALL = st.integers(0, 6)
SIDE = st.integers(1, 8)
BOXES = st.lists(st.tuples(SMALL, SMALL, SIDE, SIDE), min_size=1, max_size=12)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
needs_stand_in = pytest.mark.skipif(native_ops.origin() != "torchvision", reason="a full mmcv is installed")

# --- nms


def iou(one, other, offset):
    """Intersection over union; with offset 1 a box holds its last pixel too."""
    width, height = (min(one[a + 2], other[a + 2]) - max(one[a], other[a]) + offset for a in (0, 1))
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (one, other)]
    return shared / (sum(areas) - shared)


def brute_force_nms(boxes, scores, threshold, offset):
    """Indices kept, by falling score."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(iou(boxes[index], boxes[other], offset) <= threshold for other in kept):
            kept.append(index)
    return kept


@given(corners=BOXES, data=st.data(), threshold=st.sampled_from([0.25, 0.5, 0.75]), offset=st.sampled_from([0, 1]))
def test_nms_keeps_what_brute_force_keeps(corners, data, threshold, offset):
    boxes = [(x, y, x + width, y + height) for x, y, width, height in corners]
    scores = [score / 16 for score in data.draw(st.permutations(range(1, len(boxes) + 1)))]
    expected = brute_force_nms(boxes, scores, threshold, offset)
    tensors = torch.tensor(boxes).float(), torch.tensor(scores)
    found, indices = mmcv.ops.nms(*tensors, threshold, offset=offset)
    assert indices.tolist() == expected
    assert found[:, :4].tolist() == [list(boxes[index]) for index in expected]
    best = [index for index in expected if scores[index] > 0.25][:2]
    assert mmcv.ops.nms(*tensors, threshold, offset=offset, score_threshold=0.25, max_num=2)[1].tolist() == best


def test_the_offset_counts_a_boxs_last_pixel():
    boxes, scores = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]]), torch.tensor([0.9, 0.8])
    assert mmcv.ops.nms(boxes, scores, 0.25, offset=0)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, scores, 0.25, offset=1)[1].tolist() == [0]  # 2 pixels of 6


def test_nms_of_nothing_is_nothing():
    assert native_ops._nms(torch.zeros(0, 4), torch.zeros(0), 0.5, 0).tolist() == []


# --- RoIAlign


def feature_map(dtype=torch.float32):
    return torch.randn(2, 3, 16, 20, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()


def rois(dtype=torch.float32):
    """Ordinary RoIs, one that leaves the map, one without area."""
    return torch.tensor(
        [[0, 3.2, 5.1, 30.0, 40.7], [1, 0.0, 0.0, 70.0, 60.0], [1, 50, 40, 90, 80], [0, 7, 7, 7, 7]], dtype=dtype
    )


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align_and_its_gradient_are_torchvisions(aligned, sampling_ratio):
    ours, theirs = feature_map(), feature_map()
    found = mmcv.ops.RoIAlign((5, 7), 0.25, sampling_ratio, aligned=aligned)(ours, rois())
    expected = torchvision.ops.roi_align(theirs, rois(), (5, 7), 0.25, sampling_ratio or -1, aligned)
    assert found.shape == (4, 3, 5, 7)
    assert torch.equal(found, expected)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_the_gradient_of_roi_align_is_that_of_finite_differences(sampling_ratio):
    layer = mmcv.ops.RoIAlign((2, 2), 0.25, sampling_ratio)
    assert torch.autograd.gradcheck(
        lambda x: layer(x, rois(torch.float64)), torch.rand(2, 1, 6, 6).double().requires_grad_(), fast_mode=True
    )


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def test_the_gradient_of_roi_align_by_deterministic_algorithms_is_the_same(monkeypatch, device):
    """And not by the kernel that, on a GPU, is not deterministic and refuses."""
    found = []
    for is_deterministic in (False, True):
        x = feature_map().detach().to(device).requires_grad_()
        if is_deterministic:
            monkeypatch.setattr("torch.ops.torchvision._roi_align_backward", None)
        torch.use_deterministic_algorithms(is_deterministic)
        try:
            mmcv.ops.RoIAlign((3, 3), 0.25, 2)(x, rois().to(device)).square().sum().backward()
        finally:
            torch.use_deterministic_algorithms(False)
        found.append(x.grad)
    if device == "cpu":
        assert torch.equal(*found)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_roi_align_in_half_precision_is_that_of_float32_rounded(dtype):
    half, full = feature_map(dtype), feature_map(dtype).detach().float().requires_grad_()
    layer = mmcv.ops.RoIAlign((3, 3), 0.25, 2)
    found, expected = layer(half, rois(dtype)), layer(full, rois(dtype).float())
    assert torch.equal(found, expected.to(dtype))
    found.sum().backward()
    expected.sum().backward()
    assert torch.equal(half.grad, full.grad.to(dtype))


def test_a_detector_trains_in_bfloat16():
    model = tiny.build(tiny.tiny_config().model)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = model.parse_losses(tiny.losses(model, tiny.batch()))
    loss.backward()
    gradient = model.backbone.conv1.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


# --- focal loss


def focal_case(dtype=torch.float32, rows=12, classes=3):
    """Logits (rows, classes) that gradients reach, from sure to undecided, and labels (rows,), some the background."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(rows, classes, generator=generator)
    return logits.to(dtype).requires_grad_(), torch.arange(rows) % (classes + 1)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, 0.4), (0.0, 0.9), (5.0, 0.5)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_focal_loss_and_its_gradient_are_those_of_mmdets_formula(gamma, alpha, reduction):
    ours, labels = focal_case()
    theirs, _ = focal_case()
    found = mmcv.ops.sigmoid_focal_loss(ours, labels, gamma, alpha, None, reduction)
    one_hot = torch.nn.functional.one_hot(labels, 4)[:, :3]
    expected = py_sigmoid_focal_loss(theirs, one_hot, gamma=gamma, alpha=alpha, reduction="none")
    # mmcv's mean is one over the rows, not over the entries.
    expected = {"none": expected, "mean": expected.sum() / len(labels), "sum": expected.sum()}[reduction]
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert ours.grad[labels == 3].abs().sum() > 0  # the background is learned, too


def test_the_gradient_of_focal_loss_is_that_of_finite_differences():
    logits, labels = focal_case(torch.float64)
    assert torch.autograd.gradcheck(lambda x: mmcv.ops.sigmoid_focal_loss(x, labels, 2.0, 0.25, None, "none"), logits)


def test_the_weight_of_a_class_is_that_of_the_rows_that_are_of_it():
    logits, labels = focal_case()
    plain = mmcv.ops.sigmoid_focal_loss(logits, labels, 2.0, 0.25, None, "none")
    weighted = mmcv.ops.sigmoid_focal_loss(logits, labels, 2.0, 0.25, torch.tensor([2.0, 3.0, 5.0]), "none")
    torch.testing.assert_close(weighted, plain * torch.tensor([2.0, 3.0, 5.0, 1.0])[labels][:, None])


def test_focal_loss_of_nothing_is_nothing():
    logits, labels = focal_case(rows=0)
    loss = mmcv.ops.sigmoid_focal_loss(logits, labels, 2.0, 0.25, None, "sum")
    loss.backward()
    assert (loss.item(), logits.grad.shape) == (0, (0, 3))


@pytest.mark.gpu
@needs_cuda
def test_mmdets_focal_loss_is_the_same_on_a_gpu():
    loss = FocalLoss(gamma=1.5, alpha=0.4)  # which takes mmcv's op there, and its own formula on a CPU
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        logits, labels = focal_case()
        values.append(loss(logits.to(device), labels.to(device), weight=torch.ones(len(labels), device=device)).cpu())
        values[-1].backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


# --- what is missing, what is real


@needs_stand_in
@pytest.mark.parametrize(
    ("call", "op"),
    [
        (lambda: mmcv.ops.soft_nms(torch.rand(2, 4), torch.rand(2)), "softnms"),
        (lambda: mmcv.ops.RoIAlign(2, pool_mode="max")(feature_map(), rois()), "max pooling"),
        (lambda: mmcv.ops.RoIPool(2)(feature_map(), rois()), "roi_pool_forward"),
    ],
)
def test_a_missing_op_is_named_in_one_line_that_says_how_to_get_it(call, op):
    with pytest.raises(native_ops.MissingOp) as error:
        call()
    assert op in str(error.value)
    assert "pip install mmcv==" in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UsageError)


@needs_stand_in
def test_the_stand_in_tells_what_it_is():
    assert native_ops.supplied_ops() == (
        "nms",
        "roi_align_backward",
        "roi_align_forward",
        "sigmoid_focal_loss_backward",
        "sigmoid_focal_loss_forward",
    )
    assert torchvision.__version__ in mmcv.ops.get_compiler_version()


@pytest.mark.slow  # an interpreter of its own
def test_a_real_extension_is_used_where_there_is_one():
    found = python_code(
        """
        import importlib.abc, importlib.machinery, sys

        class Real(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path=None, target=None):
                if name == "mmcv._ext":
                    return importlib.machinery.ModuleSpec(name, self, origin="/real/_ext.so")

            def exec_module(self, module):
                module.__getattr__ = lambda op: lambda *args, **kwargs: f"the real {op}"

        sys.meta_path.insert(0, Real())
        import rgacli.core
        from mmcv.utils import ext_loader
        print(rgacli.compat.native_ops.origin())
        print(ext_loader.load_ext("_ext", ["nms"]).nms())
        """
    )
    assert found.splitlines() == ["/real/_ext.so", "the real nms"]


@pytest.mark.slow
def test_mmdets_own_train_script_trains_our_config(tiny_dataset, tmp_path):
    # The config names our parts by custom_imports alone; nothing imports rgacli before it is read.
    script = Path(mmdet.__file__).parent / ".mim/tools/train.py"
    config = tmp_path / "config.py"
    config.write_text(tiny.training_config(tiny_dataset, tmp_path / "run", train_cfg=dict(max_epochs=1)).pretty_text)
    python(script, config, "--work-dir", tmp_path / "work", cwd=tmp_path)
    assert (tmp_path / "run/checkpoints/epoch_1.pth").is_file()
