import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.roi_heads.roi_extractors import GenericRoIExtractor, SingleRoIExtractor
from torch.utils._python_dispatch import TorchDispatchMode

from rgacli.modeling import crop_matrix, roi_crop
from rgacli.modeling.roi_crop import crop, crop_on_cpu, crop_without_sync
from tests.support.roi_heads import CASCADE, FASTER, make, roi_losses, roi_predictions, total

CHANNELS = 2
HEIGHT, WIDTH = 64, 96  # of the images
STRIDES = (4, 8, 16, 32)
IMPLEMENTATIONS = [crop_on_cpu, crop_without_sync]
SYNCS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::_unique2", "aten::is_nonzero", "aten::repeat_interleave"}


def extractor(strides=STRIDES, kind=SingleRoIExtractor, **layer):
    """Its finest scale makes RoIs of these images come from all levels."""
    layer = layer or dict(sampling_ratio=0)
    layer = dict(type="RoIAlign", output_size=(3, 2)) | layer
    return kind(
        roi_layer=layer,
        out_channels=CHANNELS,
        featmap_strides=list(strides),
        **(dict(finest_scale=8) if kind is SingleRoIExtractor else {}),
    )


def feature_maps(strides=STRIDES, images=2, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    shapes = [(images, CHANNELS, -(-HEIGHT // stride), -(-WIDTH // stride)) for stride in strides]
    return [torch.randn(shape, generator=random, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def as_rois(boxes, images=2, dtype=torch.float64):
    return torch.tensor([(i % images, *box) for i, box in enumerate(boxes)], dtype=dtype).view(-1, 5)


def random_rois(number, images=2):
    random = torch.Generator().manual_seed(1)
    image = torch.arange(number).remainder(images)[:, None]
    first = torch.rand(number, 2, generator=random, dtype=torch.float64) * torch.tensor([WIDTH, HEIGHT])
    size = torch.rand(number, 2, generator=random, dtype=torch.float64) ** 2 * 90
    return torch.cat([image, first, first + size], 1)


def with_gradients(function, maps):
    """The output, and the gradient of each map by a weighted sum of it."""
    output = function()
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if not output.requires_grad:  # mmdet's, of no RoIs on one level
        return output, *(torch.zeros_like(level) for level in maps)
    return output, *torch.autograd.grad(output, maps, weights.to(output.dtype))


def assert_same_as_extractor(implementation, single, maps, rois, **tolerance):
    expected = with_gradients(lambda: single(maps, rois), maps)
    found = with_gradients(lambda: implementation(single, roi_crop.sampling_of(single), maps, rois), maps)
    for own, reference in zip(found, expected, strict=True):
        assert own.dtype == reference.dtype
        torch.testing.assert_close(own, reference, **tolerance)


POSITIONS = st.one_of(st.integers(-40, 130).map(float), st.floats(-60, 150, width=32))
SIZES = st.one_of(
    st.just(0.0),
    st.floats(0, 1, width=32),
    st.integers(1, 100).map(float),
    st.floats(1, 120, width=32),
    st.floats(300, 900, width=32),
)
BOXES = st.tuples(POSITIONS, POSITIONS, SIZES, SIZES).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(
    boxes=st.lists(BOXES, max_size=6),
    images=st.integers(1, 3),
    strides=st.sampled_from([(16,), (4,), STRIDES]),
    aligned=st.booleans(),
    sampling_ratio=st.sampled_from([0, 2]),
)
@settings(max_examples=60)
def test_a_crop_is_what_the_extractor_gives(implementation, boxes, images, strides, aligned, sampling_ratio):
    single = extractor(strides, aligned=aligned, sampling_ratio=sampling_ratio)
    assert_same_as_extractor(implementation, single, feature_maps(strides, images), as_rois(boxes, images))


EDGES = {
    "none": [],
    "points": [(5, 5, 5, 5), (0, 0, 0, 0)],
    "lines": [(5, 5, 50, 5), (5, 5, 5, 60)],
    "outside": [(-50, -50, -30, -30), (200, 200, 260, 240), (0, 70, 20, 90)],
    "on the border": [(-8, -8, 0, 0), (WIDTH, HEIGHT, WIDTH + 8, HEIGHT + 8), (-4, -4, 4, 4)],
    "huge": [(-1000, -1000, 2000, 2000), (0, 0, WIDTH, HEIGHT), (0, 30, 4000, 32)],
    "inside out": [(30, 30, 10, 10), (30, 10, 10, 30)],
    "not a number": [(float("nan"), 0, 10, 10), (0, 0, 30, 30)],
}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_edges(implementation, edge, aligned, sampling_ratio):
    single = extractor(aligned=aligned, sampling_ratio=sampling_ratio)
    assert_same_as_extractor(implementation, single, feature_maps(), as_rois(edge))


class Launches(TorchDispatchMode):
    """The ops that run, without those that only look at a tensor in another way."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aliases = [argument.alias_info for argument in func._schema.arguments]
        if not any(alias and not alias.is_write for alias in aliases):
            self.names.append(func._schema.name)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("strides", [STRIDES, (8,)])
def test_a_real_mmcv_s_layers_are_called(strides, monkeypatch):
    monkeypatch.setattr(roi_crop, "_ON_TORCHVISION", False)
    single, called = extractor(strides), []
    for layer in single.roi_layers:
        layer.register_forward_hook(lambda layer, *_: called.append(layer))
    assert_same_as_extractor(crop_without_sync, single, feature_maps(strides), random_rois(30))
    assert called == [*single.roi_layers] * 2


@pytest.mark.parametrize("settings", [dict(), dict(aligned=False), dict(sampling_ratio=2)], ids=str)
def test_launches_depend_on_neither_rois_nor_batch_and_the_host_waits_for_none(settings):
    single, counted = extractor(**settings), set()
    for images, number in ((1, 0), (1, 1), (2, 40), (4, 200)):
        maps, rois = feature_maps(images=images), random_rois(number, images)
        with Launches() as launches:
            crop_without_sync(single, roi_crop.sampling_of(single), maps, rois)
        counted.add(tuple(launches.names))
    (names,) = counted
    assert len(names) <= 25
    assert not SYNCS & set(names)


def test_the_extractor_does_wait():
    """What is counted as waiting is found."""
    with Launches() as launches:
        extractor()(feature_maps(), random_rois(10))
    assert SYNCS & set(launches.names)


def test_a_matrix_in_parts_is_the_same_to_the_last_bit_in_the_crop(monkeypatch):
    single, maps, rois = extractor(), feature_maps(), random_rois(40)
    whole = with_gradients(lambda: crop(single, maps, rois), maps)
    monkeypatch.setattr(crop_matrix, "_NON_ZEROS", 100)
    bins = crop_matrix._Bins.of(maps, rois, single.map_roi_levels(rois, 4), roi_crop.sampling_of(single))
    assert len(list(bins.matrices())) > 5
    parts = with_gradients(lambda: crop(single, maps, rois), maps)
    assert torch.equal(parts[0], whole[0])
    for own, reference in zip(parts, whole, strict=True):
        torch.testing.assert_close(own, reference)


def test_every_run_gives_the_same_bits():
    single, maps, rois = extractor(), feature_maps(dtype=torch.float32), random_rois(200)
    runs = [with_gradients(lambda: crop(single, maps, rois), maps) for _ in range(3)]
    for run in runs[1:]:
        assert all(torch.equal(own, first) for own, first in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_precisions(implementation, dtype):
    tolerance = dict(rtol=1e-5, atol=1e-5) if dtype is torch.float32 else {}
    maps, rois = feature_maps(dtype=dtype), random_rois(30).to(dtype).float()  # of which the extractor rounds nothing
    assert_same_as_extractor(implementation, extractor(), maps, rois, **tolerance)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_half_precision_rois_are_not_rounded(implementation, dtype):
    """At 900 pixels bfloat16 knows every fourth, so that a box of 20 would move by a tenth of its size."""
    single, maps = (
        extractor(strides=(4, 8)),
        [torch.randn(1, CHANNELS, 256 // k, 256 // k, dtype=dtype) for k in (1, 2)],
    )
    rois = torch.tensor([[0, 901.3, 700.6, 921.2, 718.9], [0, 701.7, 900.9, 790.2, 1010.3]])
    found = implementation(single, roi_crop.sampling_of(single), maps, rois)
    exact = single([level.float() for level in maps], rois)
    torch.testing.assert_close(found, exact.to(dtype), rtol=0.02, atol=0.02)


def test_maps_in_channels_last_get_gradients_of_their_layout():
    maps = [level.detach().contiguous(memory_format=torch.channels_last).requires_grad_() for level in feature_maps()]
    assert_same_as_extractor(crop_on_cpu, extractor(), maps, random_rois(30))
    _, gradient, *_ = with_gradients(lambda: crop(extractor(), maps, random_rois(30)), maps)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_crop_is_contiguous_as_the_extractor_s():
    assert crop(extractor(), feature_maps(), random_rois(5)).is_contiguous()


def test_maps_without_gradients_and_no_gradients_at_all():
    single, rois = extractor(), random_rois(20)
    maps = feature_maps()
    frozen = [maps[0].detach(), *maps[1:]]
    crop(single, frozen, rois).sum().backward()
    assert all(level.grad is not None for level in maps[1:])
    with torch.no_grad():
        assert not crop(single, maps, rois).requires_grad


def own_layers(**layer):
    """An extractor whose layers differ from each other."""
    single = extractor()
    vars(single.roi_layers[1]).update(layer)
    return single


class Scaled(SingleRoIExtractor):
    """A user's own."""

    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs) * 2


OTHERS = {
    "of all levels": lambda: extractor(kind=GenericRoIExtractor),
    "a subclass": lambda: extractor(kind=Scaled),
    "max pooling": lambda: extractor(pool_mode="max", use_torchvision=True),
    "another layer": lambda: extractor(type="RoIPool"),
    "mixed": lambda: own_layers(sampling_ratio=3),
}


@pytest.mark.parametrize("build", OTHERS.values(), ids=OTHERS)
def test_other_extractors_are_called(build, monkeypatch):
    called = []
    single = build()
    monkeypatch.setattr(single, "forward", lambda *args: called.append(args))
    maps, rois = feature_maps(), random_rois(5)
    crop(single, maps, rois)
    assert called == [(maps, rois)]


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_trace_keeps_the_extractor_s_own_op():
    single, rois = extractor(use_torchvision=True), random_rois(20)
    maps = [level.detach() for level in feature_maps()]
    traced = torch.jit.trace(lambda *maps: crop(single, maps, rois), maps)
    assert "torchvision::roi_align" in str(traced.graph)
    torch.testing.assert_close(traced(*maps), crop(single, maps, rois))


def test_a_plain_extractor_is_not_called(monkeypatch):
    single = extractor()
    monkeypatch.setattr(single, "forward", None)
    assert crop(single, feature_maps(), random_rois(5)).shape == (5, CHANNELS, 3, 2)


@pytest.mark.parametrize("name", [FASTER, CASCADE])
def test_roi_heads_lose_detect_and_learn_as_with_the_extractor(name, monkeypatch):
    def found():
        head = make(name, ["1:1", "1:9"])
        losses, features = roi_losses(head)
        total(losses).backward()
        return losses, [level.grad for level in features], [found.scores for found in roi_predictions(head)[0]]

    with monkeypatch.context() as patch:
        patch.setattr(SingleRoIExtractor, "forward", None)
        fast = found()
    with monkeypatch.context() as patch:
        patch.setattr(roi_crop, "sampling_of", lambda extractor: None)
        slow = found()
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
