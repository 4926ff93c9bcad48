"""`rgacli bench train` and `rgacli bench infer`."""

from __future__ import annotations

from rgacli.cli.bench.options import (
    AmpDtypeOption,
    AmpOption,
    BatchOption,
    CompileOption,
    ConfigOption,
    ContestantsOption,
    CountsOption,
    RepeatsOption,
    SaveOption,
    SizeOption,
    ThreadsOption,
    WarmUpOption,
    WeightsOption,
)
from rgacli.cli.bench.output import print_benchmark
from rgacli.cli.options import DeviceOption, JsonOption
from rgacli.cli.progress import live_progress


def train(
    config: ConfigOption = None,
    weights: WeightsOption = None,
    contestants: ContestantsOption = None,
    batch: BatchOption = 2,
    size: SizeOption = None,
    repeats: RepeatsOption = 5,
    warm_up: WarmUpOption = 1,
    counts: CountsOption = "2,8,16",
    amp: AmpOption = False,
    amp_dtype: AmpDtypeOption = None,
    compile: CompileOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Time training steps of one head, of 2 and of 5, of mmdet's own and of torchvision's, in turn on the same images.

    With the time of each part, the time of the dense arithmetic alone, the peak memory on a GPU, and the operations
    and synchronisations of the forward pass. k1, k2 and k5 are 1, 2 and 5 heads of this package, "stock" mmdet's own
    classes from the same config.
    """
    from rgacli.api.bench import bench_train

    with live_progress() as progress:
        found = bench_train(
            config=config,
            weights=weights,
            contestants=contestants,
            batch=batch,
            size=size,
            repeats=repeats,
            warm_up=warm_up,
            counts=counts,
            amp=amp,
            amp_dtype=amp_dtype,
            compile=compile,
            device=device,
            threads=threads,
            save=save,
            progress=progress,
        )
    print_benchmark(found, json=json)


def infer(
    config: ConfigOption = None,
    weights: WeightsOption = None,
    contestants: ContestantsOption = None,
    batch: BatchOption = 2,
    size: SizeOption = None,
    repeats: RepeatsOption = 5,
    warm_up: WarmUpOption = 1,
    counts: CountsOption = "2,8,16",
    amp: AmpOption = False,
    amp_dtype: AmpDtypeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Time predictions: of one head, of the ensemble alone, of every head and the ensemble (-all), of the others."""
    from rgacli.api.bench import bench_infer

    with live_progress() as progress:
        found = bench_infer(
            config=config,
            weights=weights,
            contestants=contestants,
            batch=batch,
            size=size,
            repeats=repeats,
            warm_up=warm_up,
            counts=counts,
            amp=amp,
            amp_dtype=amp_dtype,
            device=device,
            threads=threads,
            save=save,
            progress=progress,
        )
    print_benchmark(found, json=json)
