"""What each way of combining costs in time, image by image: everything warm, all ways in turn on the same image."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

import torch
from mmdet.utils import InstanceList
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from rgacli.engine.runner import quiet_stdout
from rgacli.evaluation.detect import split_dataloader
from rgacli.evaluation.results import coco_results
from rgacli.progress import Progress

_WARM_UP = 3


class Timing(NamedTuple):
    """Medians over images, in seconds.

    Attributes:
        single: What a single head or detector takes for an image, without reading it.
        added: Way of combining -> what it takes more than that, the median of the differences image by image.
        images: How many were timed.
        device: What on: "CPU, 2 threads", or the GPU's name.
    """

    single: float
    added: dict[str, float]
    images: int
    device: str


def measure(
    inputs: Collection[Any],
    prepare: Callable[[Any], Any],
    single: Callable[[Any], Any],
    ways: Mapping[str, Callable[[Any], Any]],
    *,
    progress: Progress | None = None,
) -> Timing:
    """Times `single` and every one of `ways` on each input.

    Args:
        inputs: One per image, of known number.
        prepare: What all share, done once per input; part of `Timing.single`.
        single: A single head or detector on what `prepare` returned.
        ways: Name -> a way of combining, on the same.
        progress: Told of each input.
    """
    totals, added = [], {name: [] for name in ways}
    with torch.no_grad():
        for index, data in enumerate(inputs):
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
                progress("timing", index + 1, len(inputs))
    return Timing(median(totals), {name: median(values) for name, values in added.items()}, len(totals), _device())


def single_images(cfg: Config, split: str, number: int) -> list[dict]:
    """Return the first images of a split as batches of one, as a dataloader yields them."""
    loader = split_dataloader(cfg, split)
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    with quiet_stdout():
        built = Runner.build_dataloader(loader)
    return list(islice(built, number))


def proposed(model: nn.Module, data: dict) -> tuple[Any, InstanceList, list]:
    """Feature maps, proposals and data samples of a batch: what the heads of a two-stage detector start from."""
    data = model.data_preprocessor(data, False)
    features = model.extract_feat(data["inputs"])
    return features, model.rpn_head.predict(features, data["data_samples"], rescale=False), data["data_samples"]


def by_heads(model: nn.Module, variants: list[str]) -> Callable[[Any], list[list[dict]]]:
    """What runs these variants on what `proposed` returned, and gives each one's boxes as COCO results."""

    def work(shared: tuple[Any, InstanceList, list]) -> list[list[dict]]:
        features, proposals, samples = shared
        metas = [sample.metainfo for sample in samples]
        head = model.roi_head
        found = head.predict_variants(features, metas, proposals, head.test_cfg, True, variants)
        return [as_results(instances) for (instances,) in found.values()]

    return work


def as_results(instances: Any) -> list[dict]:
    """One image's detections as COCO results; label for category, 0 for the image."""
    columns = {key: instances[key].cpu().numpy() for key in ("bboxes", "scores", "labels")}
    return coco_results(0, columns, range(int(columns["labels"].max(initial=-1)) + 1))


def _timed(work: Callable[[Any], Any], argument: Any) -> tuple[Any, float]:
    _synchronize()
    start = time.perf_counter()
    result = work(argument)
    _synchronize()
    return result, time.perf_counter() - start


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def count_parameters(*modules: nn.Module) -> int:
    """Return the number of parameters of all of them together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
