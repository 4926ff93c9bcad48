"""Gradients measured at a checkpoint, against those that training probes."""

import json

import pytest
from mmengine.config import Config

from rgacli.evaluation.head_gradients import measure
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.trained import Trained
from tests.support import tiny
from tests.support.running import run


@pytest.mark.slow
def test_the_first_batch_of_a_training_at_rate_0_is_what_is_measured_of_its_checkpoint(tiny_dataset, tmp_path):
    cfg = tiny.training_config(tiny_dataset, tmp_path)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="GradientProbeHook", every=1)]
    cfg.model.backbone.update(zero_init_residual=False)
    cfg.train_cfg.max_epochs = 1
    cfg.optim_wrapper.optimizer.update(lr=0.0)
    cfg.param_scheduler = []
    cfg = Config.fromstring(cfg.pretty_text, ".py")
    run(cfg, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    logged = [line for line in lines if "gradient.heads.sum" in line]
    trained = Trained("run", tmp_path / "checkpoints/epoch_1.pth", tmp_path, cfg)
    found = measure(SplitDetections.of(trained, "train"), 4)
    assert (found.weight, found.images, len(found.batches)) == ("layer4.0.conv1", 4, 4)
    assert found.batches[0] == pytest.approx(
        {key.removeprefix("gradient."): value for key, value in logged[0].items() if key != "step"}, rel=1e-4
    )
