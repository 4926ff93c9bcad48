"""torch.compile of a detector's backbone and neck."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from rgacli.engine import compiling
from rgacli.engine.compiling import CompileHook, set_compiled
from rgacli.errors import UsageError
from tests.support import tiny


def test_backbone_and_neck_are_compiled_and_weights_keep_their_names(monkeypatch):
    model = tiny.build(tiny.tiny_config().model)
    compiled, names = [], list(model.state_dict())
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    CompileHook().before_train(SimpleNamespace(model=model))
    assert compiled == [model.backbone, model.neck]
    assert list(model.state_dict()) == names


def test_a_machine_that_cannot_compile_is_told_before_the_training(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nlong story")

    monkeypatch.setattr(compiling.torch, "compile", fails)
    with pytest.raises(UsageError, match=r"compile=True: torch cannot compile on this machine: no C\+\+ compiler$"):
        set_compiled(Config(dict(custom_hooks=[])))


@pytest.mark.slow
def test_a_compiled_detector_has_the_same_losses_and_gradients():
    cfg = Config(dict(custom_hooks=[dict(type="Other")]))
    set_compiled(cfg)
    assert [hook.type for hook in cfg.custom_hooks] == ["Other", "CompileHook"]
    plain = tiny.build(tiny.tiny_config().model)
    compiled = copy.deepcopy(plain)
    CompileHook().before_train(SimpleNamespace(model=compiled))
    for model in (plain, compiled):
        sum(value for name, value in _scalars(tiny.losses(model, tiny.batch())) if "loss" in name).backward()
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-5)


def _scalars(losses):
    return [(name, sum(value) if isinstance(value, list) else value) for name, value in losses.items()]
