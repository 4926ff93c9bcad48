"""Run folders: files that are lost, empty, cut short, of another kind, or hold odd values."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.checkpoints import RESUME
from tests.campaign.inputs.materials import Materials


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    run = materials.interrupted(folder)
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.suffix != ".png"]
    likely = [run / "config.py", run / "metrics.jsonl", *run.glob("detections/*/source.json")]
    kind = random.choices((_of_file, _of_metrics, _of_folder), (5, 5, 2))[0]
    what = kind(random, run, random.choice(likely if random.random() < 0.7 else files))
    image = materials.dataset / "images/val/000001.jpg"
    command = random.choice(
        [
            ("runs", "list"),
            ("runs", "show", "base"),
            ("runs", "prune", "base", "--dry-run"),
            ("eval", "base", "--device", "cpu"),
            ("ensemble", "base", "--device", "cpu"),
            ("analyze", "accuracy", "base"),
            ("analyze", "positives", "base"),
            ("analyze", "gradients", "base"),
            ("analyze", "gt-bins", "base", "--device", "cpu"),
            ("analyze", "report", "base", "--device", "cpu", "--images", 0, "--bootstrap", 0),
            ("predict", image, "--run", "base", "--out", "out", "--device", "cpu"),
            ("export", "fold", "base"),
            RESUME,
        ]
    )
    return Case(f"{what} ({' '.join(map(str, command[:2]))})", command)


def _of_file(random: Random, run: Path, file: Path) -> str:
    name, content = file.relative_to(run), file.read_bytes()
    what = random.choice(["lost", "empty", "cut short", "chance bytes", "bits flipped", "a folder", "a FIFO", "a link"])
    file.unlink()
    if what == "a folder":
        file.mkdir()
    elif what == "a FIFO":
        os.mkfifo(file)
    elif what == "a link":
        file.symlink_to("nowhere")
    elif what != "lost":
        file.write_bytes(
            {
                "empty": b"",
                "cut short": mutations.cut(random, content or b"xx"),
                "chance bytes": random.randbytes(500),
                "bits flipped": mutations.flipped(random, content or b"xx", 4),
            }[what]
        )
    return f"{name}: {what}"


def _of_metrics(random: Random, run: Path, file: Path) -> str:
    """Odd lines of the log, or values of chance in one."""
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines()
    index = random.randrange(len(lines))
    odd = {
        "null": "null",
        "a list": "[1, 2]",
        "a number": "3",
        "cut short": lines[index][: len(lines[index]) // 2],
        "two on one": lines[index] * 2,
        "blank": "",
        "NaN": '{"step": 1, "loss": NaN}',
        "a step of null": '{"step": null, "loss": 1.0, "epoch": null}',
        "a step of a text": '{"step": "x", "loss": 1.0, "epoch": "y"}',
        "nested without end": "[" * 100_000,
        "nested objects": '{"a":' * 100_000,
        "a loss that is an object": '{"step": 1, "epoch": 1, "loss": {"a": 1}}',
        "a validation of texts": '{"coco/ensemble/AP": "x", "coco/1to9/AP": [], "step": 2}',
        "a key of many parts": '{"coco/a/b/c/AP": 1, "step": 2}',
        "no step": '{"loss": 1.0}',
        "a huge step": f'{{"step": {"9" * 400}, "loss": 1.0, "epoch": 1}}',
        "Latin-1": "caf\udce9",
    }
    if random.random() < 0.5:
        what, changed = mutations.mutated(random, json.loads(lines[index]))
        lines[index] = json.dumps(changed)
    else:
        what = random.choice(list(odd))
        lines[index] = odd[what]
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + random.choice([b"\n", b""]))
    return f"line {index + 1} of the log: {what}"


def _of_folder(random: Random, run: Path, file: Path) -> str:
    what = random.choice(
        [
            "no checkpoints",
            "an empty folder of checkpoints",
            "checkpoints of odd names",
            "checkpoints that are folders",
            "no detections",
            "detections that are a file",
            "a link to itself",
            "a figures that is a file",
            "logs that are a file",
            "a huge epoch",
            "a log that names another checkpoint",
            "a note of the last checkpoint that is a FIFO",
        ]
    )
    checkpoints = run / "checkpoints"
    if what == "no checkpoints":
        shutil.rmtree(checkpoints)
    elif what == "an empty folder of checkpoints":
        shutil.rmtree(checkpoints)
        checkpoints.mkdir()
    elif what == "checkpoints of odd names":
        for path in list(checkpoints.glob("*.pth")):
            path.rename(path.with_name(f"{path.stem} copy (2){path.suffix}"))
    elif what == "checkpoints that are folders":
        for path in list(checkpoints.glob("*.pth")):
            path.unlink()
            path.mkdir()
    elif what == "a link to itself":
        (run / "again").symlink_to(run)
    elif what == "a note of the last checkpoint that is a FIFO":
        (run / "logs/last_checkpoint").unlink(missing_ok=True)
        os.mkfifo(run / "logs/last_checkpoint")
    elif what == "a huge epoch":
        (checkpoints / f"epoch_{'9' * 200}.pth").write_bytes(b"x")
    elif what == "a log that names another checkpoint":
        (run / "logs").mkdir(exist_ok=True)
        (run / "logs/last_checkpoint").write_bytes(random.choice([b"/nowhere/epoch_7.pth", b"", random.randbytes(90)]))
    else:
        name = {"detections that are a file": "detections", "no detections": "detections"}.get(what, what.split()[1])
        name = "logs" if what.startswith("logs") else name
        shutil.rmtree(run / name, ignore_errors=True)
        if what != "no detections":
            (run / name).write_text("x")
    return what
