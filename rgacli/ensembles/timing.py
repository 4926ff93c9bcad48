"""How long ways of combining take, image by image: everything warm, all ways in turn on the same image."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from statistics import median
from typing import Any

import torch

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from mmdet.utils import InstanceList
from mmengine.config import Config
from mmengine.device import get_device
from torch import nn
from torch.utils.data import DataLoader

from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.ensembles.costs import Timing
from rgacli.evaluation.detect import split_dataloader
from rgacli.evaluation.results import coco_results
from rgacli.progress import Progress

_WARM_UP = 3


def measure(
    inputs: Collection[Any],
    images: int,
    prepare: Callable[[Any], Any],
    single: Callable[[Any], Any],
    ways: Mapping[str, Callable[[Any], Any]],
    *,
    progress: Progress | None = None,
) -> tuple[Timing, dict[str, float]]:
    """Time `single` and every one of `ways` on the first inputs.

    Args:
        inputs: One per image, such as a dataloader's.
        images: How many to take.
        prepare: What all share, done once per input; part of `Timing.single_seconds`.
        single: A single head or detector on what `prepare` returned.
        ways: Name -> a way of combining, on the same.
        progress: Told of each input.

    Returns:
        What a single one takes, and way -> seconds that it takes more: the median of the differences image by image.
    """
    total = min(images, len(inputs))
    totals, added = [], {name: [] for name in ways}
    with torch.no_grad():
        for index, data in enumerate(islice(inputs, total)):
            shared, before = _timed(prepare, data)
            works = {"": single, **ways}
            for _ in range(_WARM_UP if index == 0 else 0):
                _, before = _timed(prepare, data)
                for work in works.values():
                    work(shared)
            turn = index % len(works)  # so that none always goes first, when caches are cold
            order = [*works, *works][turn : turn + len(works)]
            taken = {name: _timed(works[name], shared)[1] for name in order}
            totals.append(before + taken[""])
            for name in ways:
                added[name].append(taken[name] - taken[""])
            if progress:
                progress("timing", index + 1, total)
    timing = Timing(single_seconds=median(totals), images=total, device=_device())
    return timing, {name: median(values) for name, values in added.items()}


def single_images(cfg: Config, split: str) -> DataLoader:
    """Return a dataloader of a split's images, in batches of one."""
    loader = split_dataloader(cfg, split)
    loader.update(batch_size=1, num_workers=0)
    with quiet_stdout():
        return QuietRunner.build_dataloader(loader)


def proposed(model: nn.Module, data: dict) -> tuple[Any, InstanceList, list]:
    """Return a batch's feature maps, proposals and data samples: what the heads of a two-stage detector start from."""
    data = model.data_preprocessor(data, False)
    features = model.extract_feat(data["inputs"])
    return features, model.rpn_head.predict(features, data["data_samples"], rescale=False), data["data_samples"]


def by_heads(model: nn.Module, variants: list[str]) -> Callable[[Any], list[list[dict]]]:
    """Return what runs variants on what `proposed` returned, and gives each one's boxes as COCO results."""

    def work(shared: tuple[Any, InstanceList, list]) -> list[list[dict]]:
        features, proposals, samples = shared
        metas = [sample.metainfo for sample in samples]
        head = model.roi_head
        found = head.predict_variants(features, metas, proposals, head.test_cfg, True, variants)
        return [as_results(instances) for (instances,) in found.values()]

    return work


def as_results(instances: Any) -> list[dict]:
    """Return one image's detections as COCO results: the label as category, 0 as the image."""
    columns = {key: instances[key].cpu().numpy() for key in ("bboxes", "scores", "labels")}
    return coco_results(0, columns, range(int(columns["labels"].max(initial=-1)) + 1))


def _timed(work: Callable[[Any], Any], argument: Any) -> tuple[Any, float]:
    _synchronize()
    start = time.perf_counter()
    result = work(argument)
    _synchronize()
    return result, time.perf_counter() - start


def _synchronize() -> None:
    if get_device() == "cuda":
        torch.cuda.synchronize()
    elif get_device() == "mps":
        torch.mps.synchronize()


def _device() -> str:
    if get_device() == "cuda":
        return torch.cuda.get_device_name()
    if get_device() == "mps":
        return "MPS"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"
