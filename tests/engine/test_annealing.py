import contextlib
import functools
import itertools
import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD

from rgacli.engine.annealing import GradientAnnealingHook, optimizer_steps, rcnn_parameters
from rgacli.engine.precision import MixedPrecisionOptimWrapper
from rgacli.engine.training import QuietRunner
from rgacli.errors import UsageError
from tests.support import tiny
from tests.support.families import family

CLIP = dict(max_norm=0.5)


@given(iterations=st.integers(1, 1000), accumulation=st.integers(1, 20))
def test_optimizer_steps_counts_the_last_incomplete_one(iterations, accumulation):
    updates = [i for i in range(1, iterations + 1) if i % accumulation == 0 or i == iterations]
    assert optimizer_steps(iterations, accumulation) == len(updates)


@pytest.mark.parametrize(
    ("arguments", "complaint"), [(dict(lambda0=0.9), "at least 1"), (dict(anneal="cosine"), "linear or none")]
)
def test_a_hook_out_of_range_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        GradientAnnealingHook(**arguments)


# --- what is scaled


def module(**children):
    built = nn.Module()
    for name, child in children.items():
        built.add_module(name, child)
    return built


def test_every_bbox_heads_parameters_are_scaled_and_no_others():
    model = tiny.build(tiny.tiny_config(ratios=["1:1", "1:3", "1:9"]).model)
    expected = [parameter for name, parameter in model.named_parameters() if ".bbox_head." in name]
    assert {id(parameter) for parameter in rcnn_parameters(model)} == {id(parameter) for parameter in expected}
    assert len(expected) == 3 * 8


def test_mask_heads_are_not_scaled_and_what_bbox_heads_stand_on_is():
    heads = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])  # as a cascade's
    shared = nn.Linear(2, 2)  # as a C4 detector's
    model = module(roi_head=module(bbox_head=heads, mask_head=nn.Linear(2, 2), shared_head=shared))
    found = {id(parameter) for parameter in rcnn_parameters(model)}
    assert found == {id(parameter) for part in (heads, shared) for parameter in part.parameters()}


ONE_STAGE = module(bbox_head=nn.Linear(1, 1))
MASKS_ONLY = module(roi_head=module(mask_head=nn.Linear(1, 1)))


@pytest.mark.parametrize("model", [ONE_STAGE, MASKS_ONLY])
def test_a_model_without_rcnn_modules_is_refused(model):
    with pytest.raises(ValueError, match="this model has none"):
        rcnn_parameters(model)


@pytest.fixture
def process_group(tmp_path):
    """This process as a group of one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_parameters_are_found_behind_distributed_data_parallel():
    model = tiny.build(tiny.tiny_config().model)
    found = rcnn_parameters(MMDistributedDataParallel(model))
    assert [id(parameter) for parameter in found] == [id(parameter) for parameter in rcnn_parameters(model)]


# --- training: mmengine's Runner with the hook, against Appendix B written out


class Recording(Hook):
    """Keeps λ as it was logged at each iteration; what the samplers draw there depends on the iteration alone."""

    def __init__(self):
        self.lambdas = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if "train/lambda" in runner.message_hub.log_scalars:
            self.lambdas.append(runner.message_hub.get_scalar("train/lambda").current())


def new_model(cfg=None):
    return tiny.build((cfg or tiny.tiny_config()).model)


def batches(number):
    return [tiny.batch((2, 1), seed) for seed in range(number)]


def sgd(model):
    return SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


def run(folder, *hooks, iterations=20, cfg=None, optimizer=sgd, wrapper=OptimWrapper, schedulers=None, **wrapping):
    """Trains a tiny detector through mmengine. Returns its state and λ at every iteration."""
    model, recording = new_model(cfg), Recording()
    loader = torch.utils.data.DataLoader(batches(iterations), batch_size=None, collate_fn=lambda data: data)
    off = dict.fromkeys(("timer", "logger", "checkpoint", "sampler_seed"))
    runner = QuietRunner(
        model=model,
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=wrapper(optimizer=optimizer(model), **wrapping),
        param_scheduler=schedulers,
        default_hooks=off if schedulers else dict(off, param_scheduler=None),
        custom_hooks=[recording, *hooks],
        default_scope="mmdet",
        experiment_name=folder.name,
    )
    runner.train()
    return tiny.state(model), recording.lambdas


def reference(iterations=20, lambda0=7.0, clip=None, accumulation=1, clip_first=False, skipped=()):
    """Appendix B in plain torch, without the optimizer steps in `skipped`. Returns the state."""
    model = new_model()
    optimizer, data = sgd(model), batches(iterations)
    heads = [parameter for name, parameter in model.named_parameters() if "roi_head.bbox_head" in name]
    steps = [range(start, min(start + accumulation, iterations)) for start in range(0, iterations, accumulation)]
    for t, members in enumerate(steps):
        optimizer.zero_grad()
        for i in members:
            loss, _ = model.parse_losses(tiny.losses(model, data[i], seed=i))
            (loss / len(members)).backward()
        if clip and clip_first:
            nn.utils.clip_grad_norm_(model.parameters(), **clip)
        weight = lambda0 - (lambda0 - 1) * t / len(steps)
        for parameter in heads:
            parameter.grad *= weight
        if clip and not clip_first:
            nn.utils.clip_grad_norm_(model.parameters(), **clip)
        if t not in skipped:
            optimizer.step()
    return tiny.state(model)


@functools.cache
def without_rga(iterations=20):
    return reference(iterations, lambda0=1.0)


def close(one, other):
    return all(torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_is_appendix_bs(tmp_path):
    found, _ = run(tmp_path, GradientAnnealingHook(7))
    assert all(value.isfinite().all() for value in found.values())
    assert close(found, reference())
    assert not close(found, without_rga())


def test_lambda0_of_1_changes_no_bit(tmp_path):
    assert same(run(tmp_path / "with", GradientAnnealingHook(1))[0], run(tmp_path / "without")[0])


def test_lambda_comes_before_clipping(tmp_path):
    found, _ = run(tmp_path, GradientAnnealingHook(7), clip_grad=CLIP)
    assert close(found, reference(clip=CLIP))
    assert not close(found, reference(clip=CLIP, clip_first=True))


@pytest.mark.parametrize("iterations", [11, 12])
def test_with_accumulation_lambda_enters_once_per_optimizer_step(tmp_path, iterations):
    found, lambdas = run(tmp_path, GradientAnnealingHook(7), iterations=iterations, accumulative_counts=2)
    assert lambdas == [7 - 6 * (i // 2) / 6 for i in range(iterations)]
    assert close(found, reference(iterations, accumulation=2))
    assert not close(found, reference(iterations))


@pytest.mark.parametrize(("anneal", "expected"), [("linear", [7, 5.5, 4, 2.5]), ("none", [7, 7, 7, 7])])
def test_lambda_is_logged_at_every_iteration(tmp_path, anneal, expected):
    assert run(tmp_path, GradientAnnealingHook(7, anneal), iterations=4)[1] == expected


class Recorder(SGD):
    """Keeps the gradients that each of its steps was given, and changes nothing, so that steps can be compared."""

    def __init__(self, model):
        super().__init__(model.parameters(), lr=0.0)
        self.names, self.steps = list(dict(model.named_parameters())), []

    def step(self, *args, **kwargs):
        named = zip(self.names, self.param_groups[0]["params"], strict=True)
        self.steps.append({name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None})
        return super().step(*args, **kwargs)


def gradients(folder, *hooks, iterations=1, cfg=None):
    """Parameter -> gradient, at each optimizer step."""
    recorders = []

    def recorder(model):
        recorders.append(Recorder(model))
        return recorders[0]

    run(folder, *hooks, iterations=iterations, cfg=cfg, optimizer=recorder)
    return recorders[0].steps


def test_only_what_lands_on_the_bbox_heads_is_magnified(tmp_path):
    (plain,) = gradients(tmp_path / "plain")
    (scaled,) = gradients(tmp_path / "rga", GradientAnnealingHook(7))
    assert scaled.keys() == plain.keys()
    for name, gradient in plain.items():
        assert torch.equal(scaled[name], gradient * 7 if ".bbox_head." in name else gradient), name
    assert plain["backbone.conv1.weight"].abs().sum() > 0
    assert plain["rpn_head.rpn_cls.weight"].abs().sum() > 0


def test_the_last_resnet_stage_of_a_c4_detector_is_magnified_as_part_of_its_rcnn_module(tmp_path):
    cfg = family("faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco")
    (plain,) = gradients(tmp_path / "plain", cfg=cfg)
    (scaled,) = gradients(tmp_path / "rga", GradientAnnealingHook(7), cfg=cfg)
    rcnn = ("roi_head.bbox_head.", "roi_head.shared_head.")
    assert scaled.keys() == plain.keys()
    for name, gradient in plain.items():
        assert torch.equal(scaled[name], gradient * 7 if name.startswith(rcnn) else gradient), name
    for part in (*rcnn, "backbone.layer3.", "rpn_head."):
        assert any(gradient.abs().sum() > 0 for name, gradient in plain.items() if name.startswith(part)), part


class Thaw(Hook):
    """Freezes a part of the first bbox head, and unfreezes it before the third iteration."""

    def before_train(self, runner):
        self.part = runner.model.roi_head.bbox_head[0].shared_fcs[0].requires_grad_(False)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            self.part.requires_grad_()


@pytest.mark.parametrize("first", ["thaw", "annealing"])
def test_what_is_unfrozen_while_training_is_magnified_from_then_on(tmp_path, first):
    plain = gradients(tmp_path / "plain", Thaw(), iterations=4)
    hooks = [Thaw(), GradientAnnealingHook(7)]
    scaled = gradients(tmp_path / "rga", *hooks[:: 1 if first == "thaw" else -1], iterations=4)
    thawed = {f"roi_head.bbox_head.0.shared_fcs.0.{name}" for name in ("weight", "bias")}
    for t, (factor, one, other) in enumerate(zip((7, 5.5, 4, 2.5), plain, scaled, strict=True)):
        assert one.keys() == other.keys()
        assert thawed.isdisjoint(one) if t < 2 else thawed < one.keys()
        for name, gradient in one.items():
            assert torch.equal(other[name], gradient * factor if ".bbox_head." in name else gradient), (t, name)


def test_training_goes_on_with_frozen_heads(tmp_path):
    def frozen(model):
        model.roi_head.bbox_head.requires_grad_(False)
        return SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.01)

    found, _ = run(tmp_path, GradientAnnealingHook(7), iterations=1, optimizer=frozen)
    untouched = tiny.state(new_model())
    changed = {name for name in found if not torch.equal(found[name], untouched[name])}
    assert "backbone.conv1.weight" in changed
    assert not any(".bbox_head." in name for name in changed)


def test_schedulers_still_see_that_the_optimizer_steps(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warm_up = dict(type="LinearLR", by_epoch=False, start_factor=0.5, end=2)
        run(tmp_path, GradientAnnealingHook(7), iterations=2, schedulers=[warm_up])
    assert not [str(warning.message) for warning in caught if "optimizer.step" in str(warning.message)]


def test_the_optim_wrapper_gets_its_own_step_back():
    wrapper = OptimWrapper(sgd(new_model()))
    runner = type("Runner", (), dict(model=new_model(), optim_wrapper=wrapper))
    hook, step = GradientAnnealingHook(7), wrapper.step
    hook.before_train(runner)
    assert wrapper.step != step
    hook.after_train(runner)
    assert wrapper.step == step


@pytest.mark.parametrize(
    ("kind", "lambda0", "warns"),
    [(torch.optim.AdamW, 7, True), (torch.optim.RMSprop, 7, True), (SGD, 7, False), (torch.optim.Adam, 1, False)],
)
def test_an_optimizer_that_cancels_lambda_is_warned_of(tmp_path, kind, lambda0, warns):
    hook = GradientAnnealingHook(lambda0)
    run(tmp_path, hook, iterations=1, optimizer=lambda model: kind(model.parameters(), lr=1e-4))
    (log,) = tmp_path.rglob("*.log")
    assert ("cancels RGA" in log.read_text()) is warns


# --- mixed precision: in each combination λ enters once per optimizer step, before clipping

SCALED = dict(wrapper=MixedPrecisionOptimWrapper, dtype="float16", loss_scale=1024.0)  # a power of two loses no bit
PRECISIONS = {
    "fp32": {},
    "fp16": SCALED,
    "bf16": dict(wrapper=MixedPrecisionOptimWrapper, dtype="bfloat16"),
}
ITERATIONS = 5  # of which the last is accumulated with none


@functools.cache
def expected(accumulation, clipped):
    return reference(ITERATIONS, accumulation=accumulation, clip=CLIP if clipped else None)


def moved(state, part):
    """How far training moved the parameters of a part."""
    before = tiny.state(new_model())
    steps = [state[name].cpu() - before[name] for name, _ in new_model().named_parameters() if part in name]
    return math.sqrt(sum(step.square().sum().item() for step in steps))


def check_against_fp32(folder, precision, accumulation, clipped):
    clip = dict(clip_grad=dict(CLIP)) if clipped else {}
    options = dict(PRECISIONS[precision], accumulative_counts=accumulation, **clip)
    found, lambdas = run(folder, GradientAnnealingHook(7), iterations=ITERATIONS, **options)
    steps = optimizer_steps(ITERATIONS, accumulation)
    assert lambdas == [7 - 6 * (i // accumulation) / steps for i in range(ITERATIONS)]
    # Without clipping λ shows in how far the heads move; with it, in how far all else does.
    for part in ("roi_head.bbox_head", "rpn_head"):
        assert moved(found, part) == pytest.approx(moved(expected(accumulation, clipped), part), rel=0.06), part


COMBINATIONS = pytest.mark.parametrize(
    ("precision", "accumulation", "clipped"), list(itertools.product(PRECISIONS, (1, 2), (False, True)))
)


@COMBINATIONS
def test_in_each_combination_training_is_that_of_plain_fp32(tmp_path, precision, accumulation, clipped):
    check_against_fp32(tmp_path, precision, accumulation, clipped)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@COMBINATIONS
def test_in_each_combination_training_on_a_gpu_is_that_of_plain_fp32(tmp_path, precision, accumulation, clipped):
    check_against_fp32(tmp_path, precision, accumulation, clipped)


@pytest.mark.parametrize(("accumulation", "clipped"), list(itertools.product((1, 2), (False, True))))
def test_under_a_loss_scaler_lambda_is_exact(tmp_path, monkeypatch, accumulation, clipped):
    """All of mixed precision but the rounding."""
    monkeypatch.setattr("torch.autocast", lambda *_: contextlib.nullcontext())
    clip = dict(clip_grad=dict(CLIP)) if clipped else {}
    options = dict(accumulative_counts=accumulation, **SCALED, **clip)
    found, _ = run(tmp_path, GradientAnnealingHook(7), iterations=ITERATIONS, **options)
    assert close(found, expected(accumulation, clipped))


def test_a_step_that_the_scaler_skips_takes_its_lambda_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.autocast", lambda *_: contextlib.nullcontext())
    scales = []

    class Watching(MixedPrecisionOptimWrapper):
        def step(self, **kwargs):
            super().step(**kwargs)
            scales.append(self.loss_scaler.get_scale())

    too_much = dict(init_scale=2.0**127, backoff_factor=2.0**-100)
    options = dict(wrapper=Watching, loss_scale=too_much)
    found, lambdas = run(tmp_path, GradientAnnealingHook(7), iterations=4, **options)
    assert scales == [2.0**27] * 4  # the first step overflowed
    assert lambdas == [7, 5.5, 4, 2.5]
    assert close(found, reference(4, skipped=[0]))
