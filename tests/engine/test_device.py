import pytest
import torch
from mmengine.device import get_device, utils

from rgacli.engine.device import on_device
from rgacli.errors import UsageError


@pytest.fixture(params=["cpu", "cuda", "mps"])
def chosen(request, monkeypatch):
    """What mmengine chooses by itself, on a machine that has every device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(utils, "DEVICE", request.param)
    return request.param


@pytest.mark.parametrize("name", ["cpu", "mps"])
def test_a_device_that_is_named_is_taken_for_the_length_of_a_block(chosen, name):
    with on_device(name):
        assert get_device() == name
    assert get_device() == chosen
    with pytest.raises(RuntimeError), on_device(name):
        raise RuntimeError
    assert get_device() == chosen


def test_auto_is_mmengines_choice_but_never_the_untested_one(chosen):
    with on_device("auto"):
        assert get_device() == {"cpu": "cpu", "cuda": "cuda", "mps": "cpu"}[chosen]
    assert get_device() == chosen


@pytest.mark.parametrize(("name", "module"), [("cuda", torch.cuda), ("mps", torch.backends.mps)])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name, module):
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"device={name}: torch sees no {name.upper()} device"), on_device(name):
        pass
