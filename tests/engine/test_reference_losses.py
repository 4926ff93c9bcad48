"""Eight training steps of two tiny detectors give the losses that they gave before the redesign.

reference_losses.json was made by commit 11a9d2c on torch 2.11 and an x86 CPU, and there the losses were still the same
to the last bit when this test was written. Other CPUs and versions round otherwise: 1e-5 is what is asked.
"""

import json
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from tests.support import tiny
from tests.support.roi_heads import CASCADE, mmdet_config, parallel_config

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # mmdet's own: names and types of yesterday

STEPS = 8
REFERENCE = Path(__file__).with_name("reference_losses.json")
DETECTORS = {"faster": tiny.tiny_config, "cascade": lambda: parallel_config(mmdet_config(CASCADE))}


class Recording(Hook):
    """Keeps what each iteration logs of losses and sampled RoIs."""

    def __init__(self):
        self.steps = []

    def before_train(self, runner):
        torch.manual_seed(0)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        kept = ("loss", "positives", "negatives")
        self.steps.append({name: value.item() for name, value in outputs.items() if any(key in name for key in kept)})


def training_losses(cfg, folder):
    """What a detector with two parallel heads logs at each of the first steps under RGA and plain SGD."""
    model, recording = tiny.build(cfg.model), Recording()
    batches = [tiny.batch((4, 2), seed) for seed in range(STEPS)]
    annealing = HOOKS.build(dict(type="GradientAnnealingHook", lambda0=7.0))
    Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=torch.utils.data.DataLoader(batches, batch_size=None, collate_fn=lambda data: data),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)),
        default_hooks=dict.fromkeys(
            ("timer", "logger", "checkpoint", "sampler_seed", "param_scheduler", "runtime_info")
        ),
        custom_hooks=[annealing, recording],
        default_scope="mmdet",
        experiment_name=folder.name,
    ).train()
    return recording.steps


def random_numbers():
    """By these the reference tells whether torch still draws as it did when it was made."""
    torch.manual_seed(0)
    return torch.randperm(20).tolist() + [round(value, 4) for value in torch.randn(20).tolist()]


@pytest.mark.parametrize("name", DETECTORS)
def test_losses_are_those_of_the_reference(name, tmp_path):
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    if random_numbers() != reference["random_numbers"]:
        pytest.skip("this torch draws other random numbers than the one that made the reference")
    found = training_losses(DETECTORS[name](), tmp_path)
    assert len(found) == STEPS
    for step, expected in zip(found, reference[name], strict=True):
        assert step == pytest.approx(expected, rel=1e-5, abs=1e-7)
