"""Measuring gradients while training, which goes on as without."""

import contextlib
import copy
import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from rgacli.config.recipe import set_method
from rgacli.config.run_record import read_log
from rgacli.engine.annealing import GradientAnnealingHook
from rgacli.engine.gradient_probe import GradientProbeHook, set_gradient_probe
from rgacli.engine.precision import MixedPrecisionOptimWrapper
from rgacli.errors import UsageError
from rgacli.method import parse_ratios
from rgacli.runs import Run
from tests.support import families, tiny
from tests.support.running import ITERATIONS, assert_same, interrupted, logged, resumed, run, saved

MASKED = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco"
CASCADE = "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco"
HEADS = [f"gradient.heads.{key}" for key in ("1to1", "1to9", "sum", "sum_of_norms", "angle")]
BRANCHES = [f"gradient.branches.{key}" for key in ("box", "mask", "sum", "sum_of_norms", "angle")]


def trained(cfg, probe=None, steps=4, wrapper=OptimWrapper, **options):
    """State after some steps with RGA, and what was logged: (step, values) each."""
    cfg.model.backbone.zero_init_residual = False  # else no gradient reaches a residual branch in the first step
    model = tiny.build(cfg.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    told = []
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=wrapper(optimizer=optimizer, **options),
        iter=0,
        max_iters=steps,
        visualizer=SimpleNamespace(add_scalars=lambda values, step: told.append((step, values))),
        message_hub=SimpleNamespace(update_scalar=lambda *_: None),
    )
    hooks = [GradientAnnealingHook(7), *([probe] if probe else [])]
    for hook in hooks:
        hook.before_train(runner)
    torch.manual_seed(0)
    for runner.iter in range(steps):
        for hook in hooks:
            hook.before_train_iter(runner, runner.iter)
        model.train_step(copy.deepcopy(tiny.batch(seed=runner.iter, masks=True)), runner.optim_wrapper)
        for hook in hooks:
            hook.after_train_iter(runner, runner.iter)
    for hook in hooks:
        hook.after_train(runner)
    return {**tiny.state(model), "random": torch.get_rng_state()}, told


WAYS = {
    "accumulated and clipped": dict(accumulative_counts=3, clip_grad=dict(max_norm=0.5)),
    "bf16": dict(wrapper=MixedPrecisionOptimWrapper, dtype="bfloat16"),
    "fp16": dict(wrapper=MixedPrecisionOptimWrapper, dtype="float16", clip_grad=dict(max_norm=0.5)),
}


@pytest.mark.parametrize("way", WAYS)
def test_training_is_the_same_to_the_bit(way):
    cfg = tiny.tiny_config(ratios=["1:1", "1:9"])
    with_probe, told = trained(cfg, GradientProbeHook(1), **copy.deepcopy(WAYS[way]))
    without, nothing = trained(cfg, **copy.deepcopy(WAYS[way]))
    assert_same(with_probe, without)
    assert not nothing
    assert [step for step, _ in told] == [1, 2, 3, 4]
    for _, values in told:
        assert list(values) == HEADS
        assert 0 < values["gradient.heads.sum"] <= values["gradient.heads.sum_of_norms"]


@pytest.mark.parametrize("name", [MASKED, pytest.param(CASCADE, marks=pytest.mark.slow)])
def test_a_detector_with_masks_has_branches_and_trains_the_same(name):
    cfg = families.family(name)
    set_method(cfg, ratios=parse_ratios("1:1,1:9"))
    with_probe, told = trained(cfg, GradientProbeHook(2), steps=2)
    assert_same(with_probe, trained(cfg, steps=2)[0])
    ((step, values),) = told
    assert step == 2
    assert list(values) == HEADS + BRANCHES
    assert values["gradient.branches.box"] == values["gradient.heads.sum"]


@pytest.mark.parametrize("way", ["accumulated and clipped", "fp16"])
def test_accumulation_and_a_loss_scaler_leave_what_is_measured_as_it_is(way, monkeypatch):
    monkeypatch.setattr("torch.autocast", lambda *_: contextlib.nullcontext())  # all of fp16 but the rounding
    cfg = tiny.tiny_config(ratios=["1:1", "1:9"])
    ((_, plain),) = trained(cfg, GradientProbeHook(1), steps=1)[1]
    ((_, found),) = trained(cfg, GradientProbeHook(1), steps=1, **copy.deepcopy(WAYS[way]))[1]
    assert found == pytest.approx(plain, rel=1e-5)


def test_the_model_gets_its_own_function_back():
    model = tiny.build(tiny.tiny_config().model)
    hook, own = GradientProbeHook(1), model.parse_losses
    hook.before_train(SimpleNamespace(model=model, max_iters=1))
    assert model.parse_losses != own
    hook.after_train(None)
    assert model.parse_losses == own


# --- in a run


def probed(every):
    hooks = [*tiny.tiny_config().custom_hooks, dict(type="GradientProbeHook", every=every)]
    return {"custom_hooks": hooks, "model.backbone.zero_init_residual": False}


def probes(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    return [line for line in lines if "gradient.heads.sum" in line]


@pytest.mark.slow
def test_a_run_that_is_resumed_logs_and_trains_as_a_whole_one(tiny_dataset, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    run(tiny.training_config(tiny_dataset, whole, **probed(3)), whole)
    assert [line["step"] for line in probes(whole)] == [3, 6, 9, 12]
    assert all(list(line) == [*HEADS, "step"] for line in probes(whole))
    checkpoint = interrupted(tiny_dataset, stopped, 7, **probed(3))
    with (stopped / "metrics.jsonl").open("a") as file:  # as one that went on before it was killed
        file.write(json.dumps({"gradient.heads.sum": 1.0, "step": 9}) + "\n")
    resumed(stopped, checkpoint)
    assert probes(stopped) == probes(whole)
    assert_same(saved(stopped), saved(whole))


def test_a_run_trains_as_one_without(tiny_dataset, tmp_path, finished_run):
    settings = probed(1)
    del settings["model.backbone.zero_init_residual"]
    run(tiny.training_config(tiny_dataset, tmp_path, **settings), tmp_path)
    assert len(probes(tmp_path)) == ITERATIONS
    assert_same(saved(tmp_path), saved(finished_run))
    assert len(logged(tmp_path)) == ITERATIONS  # probes are lines of their own, which no reader takes for another's
    last, validations, damaged = read_log(Run(tmp_path))
    assert (last["step"], [one.iteration for one in validations], damaged) == (ITERATIONS, [ITERATIONS], [])


def test_a_probe_that_would_never_come_is_refused_before_training():
    with pytest.raises(UsageError, match="probe_gradients=13: the training has 12 iterations"):
        trained(tiny.tiny_config(), GradientProbeHook(13), steps=12)


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_is_a_number_of_iterations(every):
    with pytest.raises(UsageError, match=r"probe_gradients=.*: it counts iterations, so it must be at least 1"):
        GradientProbeHook(every)


# --- in a config


def test_a_config_keeps_its_hooks_and_one_probe_with_the_weight_that_was_chosen():
    cfg = tiny.tiny_config()
    kept = len(cfg.custom_hooks)
    state = torch.get_rng_state()
    set_gradient_probe(cfg, 5)
    set_gradient_probe(cfg, 7)
    assert torch.equal(torch.get_rng_state(), state)
    *others, hook = Config.fromstring(cfg.pretty_text, ".py").custom_hooks
    assert len(others) == kept
    assert hook == dict(type="GradientProbeHook", every=7, weight="layer4.0.conv1")


def test_a_weight_is_frozen_as_the_config_freezes_it():
    cfg = tiny.tiny_config()
    cfg.model.backbone.frozen_stages = 1
    with pytest.raises(UsageError, match=r"probe_weight=layer1\.0.conv1: this weight of the backbone is frozen"):
        set_gradient_probe(cfg, 5, "layer1.0.conv1")


def test_a_detector_without_rcnn_heads_is_refused():
    cfg = families.family("retinanet/retinanet_r50_fpn_1x_coco")
    with pytest.raises(UsageError, match="RetinaNet has no R-CNN heads that could send"):
        set_gradient_probe(cfg, 5)
