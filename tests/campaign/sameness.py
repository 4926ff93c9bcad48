"""The same results.

To the last bit: by another number of data-loading processes, by the same seed again, resumed after any iteration, and
figures of saved detections in place of live ones. To rounding, within bounds that stand here: in batches of another
size, compiled, by two processes, by another torch.

Two processes of half the batch see in each step the images that one process sees, each augmented alike, and average
their gradients. The step is the same to rounding only where nothing else depends on the process. Three things may:
what samplers draw is seeded by the rank; batch norm's statistics are of a process's own images (--sync-bn needs
GPUs); a loss is divided by the number of boxes sampled in a process, which is the same for all where every image
fills its sample. The trial takes them away, and another tells how far they go by themselves.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.campaign.drawn import Drawn, write
from tests.campaign.ended import require_well
from tests.campaign.forked import ROOT
from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Trial
from tests.cli.commands import EPOCHS, ITERATIONS, TINY, settings

OTHER_PYTHON = "CAMPAIGN_OTHER_PYTHON"
"""Names the interpreter of an environment with another torch, the oldest that is supported."""

SECONDS = 1200  # that a command may take: a machine may have other things to do

_OF_TIME = ("time", "data_time", "memory")
_WORKERS = settings({f"{split}_dataloader.num_workers": 2 for split in ("train", "val", "test")})
# Every box is sampled, none is ignored, and each image has as many: nothing is drawn, and all divide alike.
_NOTHING_OF_ITS_OWN = settings(
    {
        "model.backbone.norm_eval": True,
        "model.train_cfg.rpn.assigner.neg_iou_thr": 0.7,
        "model.train_cfg.rpn.sampler.num": 1000000,
        "model.train_cfg.rcnn.sampler.num": 1000000,
    }
)
# Of what the weights moved by, or of a loss: what float32 rounds in a few steps, and what that is multiplied by.
PROCESSES, COMPILED, BATCHES, TORCHES = 1e-3, 1e-3, 1e-4, 1e-2


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield them."""
    for name, options in WAYS.items():
        if stage.short and name != SHORT:
            continue
        yield Trial("the same seed twice", name, partial(twice, stage, options))
        for iteration in range(1, ITERATIONS):
            resumed = partial(resume, stage, name, iteration)
            yield Trial("resumed after each iteration", f"{name}, iteration {iteration}", resumed)
    yield Trial("0 workers and 2", "training and validation", partial(workers, stage))
    yield Trial("1 process and 2", "evaluation", partial(evaluated_by_two, stage))
    yield Trial("saved detections and live ones", "gt-bins", partial(live, stage))
    yield Trial("batches of 1 and 4", "evaluation", partial(batches, stage))
    if not stage.short:
        yield Trial("1 process and 2", "training, nothing of a process's own", partial(trained_by_two, stage))
        yield Trial("1 process and 2", "training, as it is", partial(trained_by_two_as_it_is, stage))
        yield Trial("compiled", "training", partial(compiled, stage))
    yield Trial("another torch", "training, evaluation and each other's runs", partial(another_torch, stage))


SHORT = "3 accumulated, ema"
WAYS: Mapping[str, Sequence[object]] = {
    "plain": (),
    SHORT: ("--accumulate", 3, "--ema"),
    "fp16": ("--amp",),
    "bf16, nested draws": ("--amp-dtype", "bf16", "--draws", "nested"),
    "2 workers": _WORKERS,
    "hard sampling, not annealed": ("--sampling", "hard", "--anneal", "none"),
}
_EVERY_ITERATION = settings(
    {
        "default_hooks.checkpoint.by_epoch": False,
        "default_hooks.checkpoint.max_keep_ckpts": -1,
        "train_cfg.val_interval": 1,
    }
)


def training(stage: Stage, *options: object, name: str = "base", data: Path | None = None) -> tuple[object, ...]:
    """Return the arguments of a training of a few steps."""
    data = data or stage.dataset
    own = ("--data", data, "--epochs", EPOCHS, "--device", "cpu", "--name", name)
    return ("train", "quickstart", *own, *TINY, *options)


def learned(stage: Stage) -> Path:
    """Return a folder with data/ and runs/base: a detector that finds what it was shown, so that AP is not 0."""

    def train(home: Path) -> None:
        boxes = ((4, 6, 26, 24), (32, 30, 26, 26))
        images = [Drawn(boxes=[(x + n % 3, y, w, h + n % 4) for x, y, w, h in boxes][: 1 + n % 2]) for n in range(8)]
        write(home / "data", {"train": images, "val": images[:6]})
        options = ("--epochs", 15, "--lr", 0.01, "--lambda0", 1, "--device", "cpu", "--name", "base", *TINY)
        arguments = ("train", "quickstart", "--data", home / "data", *options, *settings({"param_scheduler": []}))
        require_well(stage.rgacli(*arguments, cwd=home, seconds=SECONDS), 0)

    return stage.made("learned", train)


def copy_of_learned(stage: Stage, folder: Path) -> Path:
    """Return a copy of its run, as runs/base of a folder."""
    return Path(shutil.copytree(learned(stage) / "runs/base", folder / "runs/base"))


def require_found(heads: Mapping[str, Mapping[str, float]]) -> None:
    """Fail where every AP is 0, which would be the same of anything."""
    assert all(metrics["AP"] for metrics in heads.values()), f"nothing is found, so that nothing is shown: {heads}"


def twice(stage: Stage, options: Sequence[object], folder: Path) -> None:
    """Train twice by the same seed: the same bits."""
    for name in ("one", "two"):
        require_well(stage.rgacli(*training(stage, *options, name=name), cwd=folder, seconds=SECONDS), 0)
    require_same_bits(folder / "runs/one", folder / "runs/two")


def uninterrupted(stage: Stage, name: str) -> Path:
    """Return a run that has a checkpoint of each iteration."""

    def train(home: Path) -> None:
        home.mkdir()
        require_well(stage.rgacli(*training(stage, *_EVERY_ITERATION, *WAYS[name]), cwd=home, seconds=SECONDS), 0)

    return stage.made(f"whole {name}", train) / "runs/base"


def resume(stage: Stage, name: str, iteration: int, folder: Path) -> None:
    """Go on from what a run leaves that is killed after an iteration: the end is the same, to the last bit."""
    whole, run = uninterrupted(stage, name), folder / "runs/base"
    shutil.copytree(whole, run)
    for path in (run / "checkpoints").glob("iter_*.pth"):
        if int(path.stem.removeprefix("iter_")) > iteration:
            path.unlink()
    (run / "checkpoints/best.pth").unlink()
    if iteration >= ITERATIONS // EPOCHS:
        _keep_best_until(whole, run, iteration)
    (run / "logs/last_checkpoint").write_text(str(run / f"checkpoints/iter_{iteration}.pth"))
    require_well(stage.rgacli("train", "--resume", "--name", "base", "--device", "cpu", cwd=folder, seconds=SECONDS), 0)
    require_same_bits(whole, run)


def _keep_best_until(whole: Path, run: Path, iteration: int) -> None:
    import torch

    if torch.load(whole / "checkpoints/best.pth", weights_only=False)["meta"]["iter"] <= iteration:
        shutil.copy(whole / "checkpoints/best.pth", run / "checkpoints/best.pth")


def workers(stage: Stage, folder: Path) -> None:
    """Load images in this process, and in two others: the same bits."""
    for name, options in (("none", ()), ("two", _WORKERS)):
        require_well(stage.rgacli(*training(stage, *options, name=name), cwd=folder, seconds=SECONDS), 0)
    require_same_bits(folder / "runs/none", folder / "runs/two")


def trained_by_two(stage: Stage, folder: Path) -> dict[str, float]:
    """Train by one process, and by two of half the batch, where nothing is of a process's own."""
    boxes = [(4, 6, 20, 24), (36, 30, 18, 22), (8, 40, 14, 14)]
    images = [Drawn(boxes=[(x + n % 3, y - n % 4, w, h + n % 5) for x, y, w, h in boxes]) for n in range(8)]
    data = write(folder / "data", {"train": images, "val": images[:2]})
    return _by_one_and_by_two(stage, folder, PROCESSES, *_NOTHING_OF_ITS_OWN, data=data)


def trained_by_two_as_it_is(stage: Stage, folder: Path) -> dict[str, float]:
    """Train by one process and by two of half the batch: the weights go the same way, if not by the same steps."""
    return _by_one_and_by_two(stage, folder, 1.0)


def _by_one_and_by_two(
    stage: Stage, folder: Path, bound: float, *options: object, data: Path | None = None
) -> dict[str, float]:
    each = _EVERY_ITERATION
    for name, own in (("one", ("--batch-size", 4)), ("two", ("--batch-size", 2, "--gpus", 2))):
        stage.call(
            *training(stage, *each, *options, *own, name=name, data=data), cwd=folder, seconds=SECONDS, codes=(0,)
        )
    one, two = (folder / "runs" / name / "checkpoints" for name in ("one", "two"))
    after = {step: distance(one / f"iter_{step}.pth", two / f"iter_{step}.pth") for step in (1, ITERATIONS)}
    start = distance(one / "iter_1.pth", one / f"iter_{ITERATIONS}.pth")
    apart = after[ITERATIONS] / start
    assert apart <= bound, f"the weights are {apart:.2g} of what they moved by apart, not {bound:g}"
    return {"apart, of what the weights moved by": apart}


def compiled(stage: Stage, folder: Path) -> dict[str, float]:
    """Train with the backbone and the neck compiled: the losses of the steps are the same to rounding."""
    stage.call(*training(stage, name="plain"), cwd=folder, seconds=SECONDS, codes=(0,))
    ended = stage.call(*training(stage, "--compile", name="compiled"), cwd=folder, seconds=SECONDS)
    if "cannot compile on this machine" in ended.stderr:
        raise NotHere(ended.errors[0])
    require_well(ended, 0)
    apart = losses_apart(folder / "runs/plain", folder / "runs/compiled")
    assert apart <= COMPILED, f"losses differ by {apart:.2g} of themselves, not {COMPILED:g}"
    return {"losses apart": apart}


def evaluated_by_two(stage: Stage, folder: Path) -> None:
    """Evaluate by one process and by two: the same detections and AP, to the last bit, an image at a time."""
    found = []
    for name, options in (("one", ()), ("two", ("--gpus", 2))):
        run = copy_of_learned(stage, folder / name)
        set_batch_size(run, 1)
        arguments = ("eval", "runs/base", "--head", "all", "--split", "val", "--device", "cpu", "--json", *options)
        ended = stage.call(*arguments, cwd=folder / name, seconds=SECONDS, codes=(0,))
        found.append((json.loads(ended.stdout)["heads"], detections(run)))
    require_found(found[0][0])
    assert found[0] == found[1], f"{found[0][0]} by one process, {found[1][0]} by two"


def batches(stage: Stage, folder: Path) -> dict[str, float]:
    """Evaluate an image at a time, and four: the same AP, boxes and scores to rounding."""
    found = {}
    for size in (1, 4):
        run = copy_of_learned(stage, folder / str(size))
        set_batch_size(run, size)
        arguments = ("eval", "runs/base", "--head", "all", "--split", "val", "--device", "cpu", "--json")
        ended = require_well(stage.rgacli(*arguments, cwd=folder / str(size), seconds=SECONDS), 0)
        found[size] = json.loads(ended.stdout)["heads"]
    require_found(found[1])
    apart = metrics_apart(found[1], found[4])
    scores = scores_apart(*(folder / str(size) / "runs/base" for size in found))
    assert max(apart, scores) <= BATCHES, f"AP differs by {apart:.2g}, scores by {scores:.2g}, not {BATCHES:g}"
    return {"AP apart": apart, "scores apart": scores}


def live(stage: Stage, folder: Path) -> None:
    """Measure by bins what eval saved, what a live evaluation finds, and files of results: the same numbers."""
    rows = {}
    cpu = ("--split", "val", "--device", "cpu")
    for name in ("live", "saved"):
        run = copy_of_learned(stage, folder / name)
        if name == "saved":
            require_well(stage.rgacli("eval", "runs/base", *cpu, cwd=folder / name, seconds=SECONDS), 0)
        ended = stage.rgacli("analyze", "gt-bins", "runs/base", *cpu, "--json", cwd=folder / name, seconds=SECONDS)
        rows[name] = json.loads(require_well(ended, 0).stdout)["rows"]
    found = [run / f"detections/val/{name}.json" for name in ("1to1", "1to9", "ensemble")]
    files = [f"--results={path.stem}={path}" for path in found]
    annotations = ("--annotations", learned(stage) / "data/annotations/val.json")
    ended = require_well(
        stage.rgacli("analyze", "gt-bins", *files, *annotations, "--json", cwd=folder, seconds=SECONDS), 0
    )
    rows["files"] = json.loads(ended.stdout)["rows"]
    assert rows["live"] == rows["saved"], f"{rows['live']}\nlive, but of saved detections\n{rows['saved']}"
    by_head = {
        kind: sorted(json.dumps([row["bin"], row["AP"], row["AP50"], row["AP75"]]) for row in rows[kind])
        for kind in ("saved", "files")
    }
    assert by_head["saved"] == by_head["files"], by_head
    require_found({row["name"]: row for row in rows["live"] if row["bin"] == "all"})


def another_torch(stage: Stage, folder: Path) -> dict[str, float]:
    """Train and evaluate by another torch, and have each use the other's run: the same numbers within a bound."""
    python = os.environ.get(OTHER_PYTHON)
    if not python:
        raise NotHere(f"no other torch: {OTHER_PYTHON} names no interpreter")

    def other(*arguments: object, cwd: Path) -> str:
        done = subprocess.run(
            [python, "-m", "rgacli", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{arguments} by the other torch: {done.stderr[-2000:]}"
        return done.stdout

    def this(*arguments: object, cwd: Path) -> str:
        return require_well(stage.rgacli(*arguments, cwd=cwd, seconds=SECONDS), 0).stdout

    import torch

    version = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    if version.stdout.strip() == torch.__version__:
        raise NotHere(f"no other torch: {OTHER_PYTHON} names one of {torch.__version__}")
    both = {"this": this, "other": other}
    for name, rgacli in both.items():
        rgacli(*training(stage, name=name), cwd=folder)
    losses = losses_apart(folder / "runs/this", folder / "runs/other")
    assert losses <= TORCHES, f"losses differ by {losses:.2g} of themselves, not {TORCHES:g}"
    copy_of_learned(stage, folder)
    ap = scores = 0.0
    for name in (*both, "base"):
        found, runs = [], []
        for user, rgacli in both.items():
            cwd = folder / f"{name} used by {user}"
            shutil.copytree(folder / "runs" / name, cwd / "runs" / name)
            arguments = ("eval", f"runs/{name}", "--head", "all", "--split", "val", "--device", "cpu", "--json")
            found.append(json.loads(rgacli(*arguments, cwd=cwd))["heads"])
            runs.append(cwd / "runs" / name)
        if name == "base":
            require_found(found[0])
        ap, scores = max(ap, metrics_apart(*found)), max(scores, scores_apart(*runs))
    assert max(ap, scores) <= TORCHES, f"of the same weights AP differs by {ap:.2g}, scores by {scores:.2g}"
    return {"losses apart": losses, "AP apart": ap, "scores apart": scores}


def set_batch_size(run: Path, size: int) -> None:
    """Have a run evaluate as many images at a time."""
    config = run / "config.py"
    lines = [f"{split}_dataloader.update(batch_size={size})\n" for split in ("val", "test")]
    config.write_text(config.read_text() + "".join(lines))


def detections(run: Path) -> dict[str, list[str]]:
    """Return what eval saved, in an order of its own: file -> detections."""
    files = sorted((run / "detections/val").glob("*.json"))
    return {path.name: sorted(json.dumps(one) for one in json.loads(path.read_text())) for path in files}


def scores_apart(one: Path, two: Path) -> float:
    """Return by how much the scores of what eval saved differ most, by rank; fails where one found more."""
    apart = [0.0]
    for path in sorted((one / "detections/val").glob("*.json")):
        if path.name != "source.json":
            both = (path, two / "detections/val" / path.name)
            ranked = [sorted(found["score"] for found in json.loads(each.read_text())) for each in both]
            assert len(ranked[0]) == len(ranked[1]) > 0, f"{path.stem} found {len(ranked[0])} and {len(ranked[1])}"
            apart += [abs(a - b) for a, b in zip(*ranked, strict=True)]
    return max(apart)


def require_same_bits(run: Path, other: Path) -> None:
    """Fail unless the last checkpoints and the logs of two runs are the same, but for times."""
    import torch

    stems = [path.stem for path in (run / "checkpoints").glob("*_*.pth")]
    last = max(stems, key=lambda stem: int(re.sub(r"\D", "", stem)))
    for stem in (last, "best"):
        one, two = (
            torch.load(each / f"checkpoints/{stem}.pth", weights_only=False, map_location="cpu")
            for each in (run, other)
        )
        assert one.keys() == two.keys(), f"{stem}.pth has {sorted(one)} and {sorted(two)}"
        different = [
            name for part in one.keys() - {"meta", "message_hub"} for name in unlike(one[part], two[part], part)
        ]
        assert not different, f"{stem}.pth differs in {', '.join(different[:5])} ({len(different)} in all)"
    logs = [[_without_times(line) for line in (each / "metrics.jsonl").open()] for each in (run, other)]
    assert len(logs[0]) == len(logs[1]), f"{len(logs[0])} lines in one log, {len(logs[1])} in the other"
    for one, two in zip(*logs, strict=True):
        assert one == two, f"logged {one}\nand {two}"


def unlike(one: Any, two: Any, name: str) -> Iterator[str]:
    """Yield the names of what differs in two parts of checkpoints."""
    import torch

    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for key in one.keys() | two.keys():
            yield from unlike(one.get(key), two.get(key), f"{name}.{key}")
    elif isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)) and len(one) == len(two):
        for place, pair in enumerate(zip(one, two, strict=True)):
            yield from unlike(*pair, f"{name}[{place}]")
    elif torch.is_tensor(one) and torch.is_tensor(two):
        if one.dtype != two.dtype or not torch.equal(one, two):
            yield name
    elif one != two:
        yield name


def _without_times(line: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key not in _OF_TIME}


def weights(checkpoint: Path) -> Any:
    """Return all of a checkpoint's parameters and statistics as one vector, in float64."""
    import torch

    state = torch.load(checkpoint, weights_only=False, map_location="cpu")["state_dict"]
    return torch.cat([state[name].double().flatten() for name in sorted(state) if state[name].is_floating_point()])


def distance(one: Path, two: Path) -> float:
    """Return the norm of the difference of two checkpoints' weights."""
    return float((weights(one) - weights(two)).norm())


def losses_apart(one: Path, two: Path) -> float:
    """Return by what share of itself a loss differs most, over the steps of two logs."""
    logs = [
        [line for line in map(_without_times, (run / "metrics.jsonl").open()) if "loss" in line] for run in (one, two)
    ]
    assert len(logs[0]) == len(logs[1]) > 0
    return max(abs(a["loss"] - b["loss"]) / abs(a["loss"]) for a, b in zip(*logs, strict=True))


def metrics_apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> float:
    """Return by how much metrics of heads differ most; fails where one is known in one of them alone."""
    assert one.keys() == two.keys()
    apart = [0.0]
    for head, metrics in one.items():
        for name, value in metrics.items():
            other = two[head][name]
            assert (value is None) == (other is None), f"{head} {name}: {value} and {other}"
            apart.append(0.0 if value is None else abs(value - other))
    return max(apart)
