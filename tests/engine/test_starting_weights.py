"""Weights that a config names for parts of its detector are looked at before a training begins."""

import pytest
import torch
from mmengine.config import Config

from rgacli.engine.starting_weights import require_pretrained
from rgacli.errors import UsageError
from tests.campaign import strangers


def config(*checkpoints, key="init_cfg"):
    inits = [{"type": "Pretrained", "checkpoint": str(checkpoint)} for checkpoint in checkpoints]
    parts = [{"bbox_head": {key: inits}}]
    return Config({"model": {"backbone": {"init_cfg": {"type": "Normal"}}, "neck": {"init_cfg": None}, "parts": parts}})


def test_weights_that_can_be_read_or_lie_elsewhere_are_fine(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "good.pth")
    require_pretrained(config(tmp_path / "good.pth", "torchvision://resnet50"))


def test_the_first_that_would_run_code_is_named_and_runs_none(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "good.pth")
    strangers.write(tmp_path / "bad.pth", "exec", "zip", "meta", tmp_path / "mark")
    with pytest.raises(UsageError, match=r"model\.parts\.0\.bbox_head\.init_cfg: checkpoint .*bad\.pth is refused"):
        require_pretrained(config(tmp_path / "good.pth", tmp_path / "bad.pth"))
    assert not (tmp_path / "mark").exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nosuch\.pth does not exist"):
        require_pretrained(config(tmp_path / "nosuch.pth"))
