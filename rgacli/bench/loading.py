"""How many images a second the training's dataloader yields, of the embedded dataset."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.registry import init_default_scope

from rgacli.bench.alternating import Spread
from rgacli.bench.settings import CONFIG
from rgacli.config.dataset import dataset_config, set_dataset
from rgacli.config.files import load_config
from rgacli.data.layout import find_dataset
from rgacli.data.synthetic import embedded_dataset
from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.progress import Progress


def measure(
    *,
    config: str | None = None,
    data: Path | None = None,
    size: tuple[int, int] = (480, 640),
    batch: int = 2,
    workers: Sequence[int] = (0, 2),
    batches: int = 20,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the speed of a config's training dataloader.

    Args:
        config: As `load_config` takes it.
        data: A dataset in place of the embedded one.
        size: (height, width) px that images are resized to fit.
        batch: Images in a batch.
        workers: Numbers of processes that load, 0 for none.
        batches: How many are timed, after one in which the processes start.
        progress: Told of each number of workers.

    Returns:
        `images_per_second` by number of workers, with their spread over batches where nothing loads ahead.
    """
    root = data or embedded_dataset(progress=progress)
    init_default_scope("mmdet")
    rows = {}
    for done, number in enumerate(workers, start=1):
        cfg = load_config(config or CONFIG)
        set_dataset(cfg, find_dataset(root))
        loader = cfg.train_dataloader
        loader.update(batch_size=batch, num_workers=number, persistent_workers=number > 0)
        for step in dataset_config(loader).pipeline:
            if "scale" in step:
                step.scale = size[::-1]
        with quiet_stdout():
            built = QuietRunner.build_dataloader(loader, seed=0)
        rows[str(number)] = asdict(_speed(built, batch, batches))
        if progress:
            progress("loading", done, len(workers), f"{number} workers")
    return {
        "settings": {"config": config or CONFIG, "size": list(size), "batch": batch, "batches": batches},
        "images_per_second": rows,
    }


def _speed(loader: Any, batch: int, batches: int) -> Spread:
    """Return images per second, over four stretches of batches: with workers, single ones come in bursts."""
    stretch = max(1, batches // 4)
    speeds: list[float] = []
    start, seen = None, 0
    while len(speeds) < 4:  # a small dataset is gone through several times
        for _ in islice(loader, 4 * stretch + 1):
            now = time.perf_counter()
            if start is None:  # the first batch has the processes start
                start = now
                continue
            seen += 1
            if seen % stretch == 0:
                speeds.append(stretch * batch / (now - start))
                start = now
        start = None
    return Spread.of(speeds[:4])
