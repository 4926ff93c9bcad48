"""Starting a training from a trained detector."""

from pathlib import Path

import numpy as np
import pytest
import torch

import rgacli
from rgacli.config.files import load_config
from rgacli.errors import RunFailed
from rgacli.modeling.checkpoints import read_checkpoint
from tests.cli.commands import RUN, TINY, error_line, invoke

CHECKPOINT = f"runs/{RUN}/checkpoints/epoch_3.pth"


def train(dataset, *arguments, name="new"):
    return invoke("train", "quickstart", "--data", dataset, "--name", name, *TINY, *arguments)


def weights(path):
    return read_checkpoint(path)["state_dict"]


def test_every_head_and_the_ensemble_detect_what_the_exported_head_does(finding, folder, dataset):
    assert invoke("export", "head", RUN, "--head", "1:9", "--check", 0).exit_code == 0
    exported = f"runs/{RUN}/export/1to9/model.pth"
    done = train(dataset, "--weights", exported, "--epochs", 0, "--set", "model.test_cfg.rcnn.score_thr=0.0")
    assert done.exit_code == 0, done.output
    assert "copied: head 1:1 from the one head, head 1:9 from the one head" in done.stderr
    images = sorted((dataset / "images/test").iterdir())
    stock, new = rgacli.load(exported)(images), rgacli.load("new")(images)
    for expected, found in zip(stock, new, strict=True):
        (expected,) = expected.values()
        for name in ("1:1", "1:9", "ensemble"):
            assert len(found[name].boxes) == len(expected.boxes) > 5
            np.testing.assert_allclose(found[name].boxes, expected.boxes, atol=1e-4)
            np.testing.assert_allclose(found[name].scores, expected.scores, atol=1e-6)
            assert np.array_equal(found[name].labels, expected.labels)


def test_a_training_begins_with_the_weights(run, folder, dataset):
    done = train(dataset, "--weights", CHECKPOINT, "--ratios", "1:9,1:1", "--epochs", 1, "--lr", 1e-12)
    assert done.exit_code == 0, done.output
    old, new = weights(CHECKPOINT), weights("runs/new/checkpoints/epoch_1.pth")
    name = "roi_head.bbox_head.{}.fc_cls.weight"
    torch.testing.assert_close(new[name.format(0)], old[name.format(1)])
    torch.testing.assert_close(new[name.format(1)], old[name.format(0)])
    torch.testing.assert_close(new["backbone.conv1.weight"], old["backbone.conv1.weight"])
    cfg = load_config("runs/new/config.py")
    assert cfg.weights == CHECKPOINT
    assert cfg.model.backbone.init_cfg is None


def test_a_frozen_backbone_keeps_its_weights(run, folder, dataset):
    done = train(dataset, "--weights", CHECKPOINT, "--freeze-backbone", 2, "--epochs", 1)
    assert done.exit_code == 0, done.output
    old, new = weights(CHECKPOINT), weights("runs/new/checkpoints/epoch_1.pth")
    frozen = ("backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2")
    changed = [name for name in old if not torch.equal(old[name], new[name])]
    assert not [name for name in changed if name.startswith(frozen)]
    assert [name for name in changed if name.startswith("backbone.layer")]


def test_what_was_never_trained_is_not_resumed_but_trained_from(run, folder, dataset):
    assert train(dataset, "--weights", CHECKPOINT, "--epochs", 0).exit_code == 0
    message = error_line(invoke("train", "--resume", "--name", "new").stderr)
    assert "has no training to go on with (--epochs 0)" in message
    assert "--weights runs/new/checkpoints/epoch_0.pth" in message


def test_a_run_that_was_killed_before_it_had_its_starting_weights_starts_from_them(run, folder, dataset):
    assert train(dataset, "--weights", CHECKPOINT, "--epochs", 0).exit_code == 0
    start = Path("runs/new/checkpoints/epoch_0.pth")
    whole = weights(start)
    start.unlink()
    result = invoke("train", "--resume", "--name", "new")
    assert result.exit_code == 0, result.stderr
    assert "run runs/new has no checkpoint yet: from the beginning" in result.stderr
    again = weights(start)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_the_config_of_a_run_starts_from_the_runs_weights(run, folder, dataset):
    assert train(dataset, "--weights", CHECKPOINT, "--epochs", 0).exit_code == 0
    again = invoke("train", "runs/new/config.py", "--name", "again")
    assert again.exit_code == 0, again.stderr
    assert f"weights {CHECKPOINT}" in again.stderr
    new, old = (weights(f"runs/{name}/checkpoints/epoch_0.pth") for name in ("again", "new"))
    assert all(torch.equal(new[name], value) for name, value in old.items())
    gone = invoke("train", "runs/new/config.py", "--name", "more", "--set", "weights=gone.pth")
    assert error_line(gone.stderr) == (
        "error: the config starts from weights of its own: checkpoint gone.pth does not exist. Name others by "
        "--weights, or none by --set weights=None."
    )


def test_a_config_of_no_epochs_is_trained_once_it_is_given_some(run, folder, dataset, monkeypatch):
    def trained(cfg, *_):
        raise RunFailed(f"{cfg.train_cfg.max_epochs} epochs")

    monkeypatch.setattr("rgacli.api.train.train_prepared", trained)
    assert train(dataset, "--weights", CHECKPOINT, "--epochs", 0).exit_code == 0
    again = invoke("train", "runs/new/config.py", "--name", "again", "--set", "weights=None", "--epochs", 2)
    assert error_line(again.stderr) == "error: 2 epochs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", 0], "--epochs 0: it must be at least 1 (0: only with --weights"),
        (
            ["--set", "train_cfg.max_epochs=0"],
            "max_epochs is 0: set it to at least 1, or give the weights that it is to",
        ),
        (["--weights", "nowhere.pth"], "checkpoint nowhere.pth does not exist"),
        (["--weights", "runs"], "weights runs: a folder; name the checkpoint in it"),
        (["--weights", CHECKPOINT, "--set", "model.neck.out_channels=8"], "are of another architecture"),
        (["--weights", CHECKPOINT, "--freeze-backbone", 5], "--freeze-backbone 5: ResNet has 4 stages"),
        (["--freeze-backbone", 1], "this backbone starts from nothing, and would stay so: name trained --weights"),
    ],
)
def test_what_cannot_be_started_from_is_one_line_and_leaves_no_run(run, folder, dataset, options, message):
    result = train(dataset, *options)
    assert result.exit_code == 2
    assert message in error_line(result.stderr)
    assert not (folder / "runs/new").exists()
