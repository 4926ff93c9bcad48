import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rgacli.engine.hooks import MisfitHook
from rgacli.errors import UsageError


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_goes_on_from_weights_that_fit_and_starts_from_others_with_a_warning(resume, caplog):
    runner = SimpleNamespace(
        model=nn.Linear(2, 3), logger=logging.getLogger("misfit"), _resume=resume, _load_from="epoch_1.pth"
    )
    weights = runner.model.state_dict()
    MisfitHook().after_load_checkpoint(runner, {"state_dict": weights})
    assert not caplog.records
    misfit = {"state_dict": {**weights, "bias": torch.zeros(())}}
    if resume:
        with pytest.raises(
            UsageError, match=r"epoch_1\.pth does not fit the run's config: it has in other shapes bias"
        ):
            MisfitHook().after_load_checkpoint(runner, misfit)
    else:
        MisfitHook().after_load_checkpoint(runner, misfit)
        assert "fits the model in part" in caplog.text


@pytest.mark.parametrize(("part", "value"), [("optimizer", None), ("param_schedulers", 3), ("message_hub", [])])
def test_a_training_goes_on_from_what_a_training_saved(part, value):
    model = nn.Linear(2, 3)
    runner = SimpleNamespace(model=model, logger=logging.getLogger("misfit"), _resume=True, _load_from="epoch_1.pth")
    found = {"state_dict": model.state_dict(), "optimizer": {}, "param_schedulers": [], "meta": {}, part: value}
    with pytest.raises(
        UsageError, match=rf"epoch_1\.pth holds no state .*its {part} is of type {type(value).__name__}"
    ):
        MisfitHook().after_load_checkpoint(runner, found)
    runner._resume = False
    MisfitHook().after_load_checkpoint(runner, found)
