"""Run directories as a training leaves them, made in no time."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

CONFIG = """\
custom_hooks = [
    dict(type='IterationSeedHook'),
    dict(anneal='linear', lambda0=5.0, type='GradientAnnealingHook'),
]
custom_imports = dict(allow_failed_imports=False, imports=['rgacli.core'])
model = dict(roi_head=dict(ratios=['1:1', '1:9'], sampling='hard', type='ParallelRoIHead'), type='FasterRCNN')
optim_wrapper = dict(clip_grad=None, optimizer=dict(lr=0.01, type='SGD'), type='OptimWrapper')
processes = 2
randomness = dict(seed=3)
test_dataloader = dict(dataset=dict(ann_file='/data/birds/annotations/test.json', data_prefix=dict(
    img='/data/birds/test/'), data_root='', type='CocoDataset'))
train_cfg = dict(max_epochs=4, type='ResumableTrainLoop', val_interval=1)
train_dataloader = dict(batch_size=2, dataset=dict(dataset=dict(
    ann_file='/data/birds/annotations/train.json', data_prefix=dict(img='/data/birds/train/'), data_root=''), times=2))
trained_from = 'quickstart'
val_dataloader = dict(dataset=dict(
    ann_file='annotations/val.json', data_prefix=dict(img='val/'), data_root='/data/birds/'))
work_dir = 'runs/x/logs'
"""


def write_run(
    path: str | Path, scores: Sequence[float | None] = (), *, seconds: int = 0, metric: str = "coco/{}/AP"
) -> Path:
    """A run of 10 iterations an epoch, with a checkpoint of 100 bytes or so and a validation for each of the scores."""
    path = Path(path)
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.py").write_text(CONFIG)
    os.utime(path / "config.py", (seconds, seconds))
    with (path / "metrics.jsonl").open("w") as file:
        for epoch, score in enumerate(scores, start=1):
            step = 10 * epoch
            heads = {"ensemble": score, "1to9": 0.5, "1to1": 0.25}
            validation = {metric.format(head): value for head, value in heads.items()}
            for line in ({"loss": 1.5, "epoch": epoch, "iter": step}, {**validation, "time": 0.1}):
                file.write(json.dumps({**line, "step": step}) + "\n")
            write_checkpoint(path / f"checkpoints/epoch_{epoch}.pth")
    return path


def write_checkpoint(path: Path) -> Path:
    """A file that is whole as far as its format goes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.pkl", b"")
    return path
