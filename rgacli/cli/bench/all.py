"""`rgacli bench`, which is `rgacli bench all`."""

from __future__ import annotations

from rgacli.cli.bench.options import (
    AmpDtypeOption,
    AmpOption,
    BatchOption,
    ConfigOption,
    ContestantsOption,
    CountsOption,
    ImagesOption,
    ReferenceSamplesOption,
    RepeatsOption,
    SamplesOption,
    SaveOption,
    SizeOption,
    ThreadsOption,
    WarmUpOption,
    WeightsOption,
)
from rgacli.cli.bench.output import print_benchmark
from rgacli.cli.options import DeviceOption, JsonOption
from rgacli.cli.progress import live_progress


def all(
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
    images: ImagesOption = 5000,
    samples: SamplesOption = 200,
    reference_samples: ReferenceSamplesOption = 3,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Run all benchmarks, training, inference, evaluation, loading and starting, for one record."""
    from rgacli.api.bench import bench_all

    with live_progress() as progress:
        found = bench_all(
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
            images=images,
            samples=samples,
            reference_samples=reference_samples,
            save=save,
            progress=progress,
        )
    print_benchmark(found, json=json)
