"""How fast training, inference, evaluation, loading and starting are, beside others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgacli.errors import UsageError
from rgacli.files import require_writable
from rgacli.progress import Progress
from rgacli.wording import param

if TYPE_CHECKING:
    from rgacli.bench.settings import Settings


@dataclass(frozen=True)
class Benchmark:
    """What was measured.

    Attributes:
        record: With `date`, `commit`, `machine`, `versions`, `goals`, and of what was measured `train`, `infer`,
            `eval`, `data` and `startup`; see `rgacli.bench.record`.
        path: The file that it was written to; None where none was named.
    """

    record: dict[str, Any]
    path: Path | None


def bench_train(
    *,
    config: str | None = None,
    weights: str | None = None,
    contestants: str | None = None,
    batch: int = 2,
    size: str | None = None,
    repeats: int = 5,
    warm_up: int = 1,
    counts: str = "2,8,16",
    amp: bool = False,
    amp_dtype: str | None = None,
    compile: bool = False,
    device: str = "auto",
    threads: int | None = None,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Time training steps of this package's heads, of mmdet's own and of torchvision's, in turn on the same images.

    Args:
        config: A Faster R-CNN, as `rgacli.train` takes it; by default the one with ResNet-50 and FPN.
        weights: A run or a checkpoint, or "random"; by default weights that are trained briefly on images of the
            embedded dataset's kind, once (minutes on a CPU), and kept in the user's cache.
        contestants: Of k1, k2, k5, stock and torchvision; all by default.
        batch: Images in a step.
        size: "HEIGHTxWIDTH" of an image, px; by default 800x1333 on a GPU and 480x640 on a CPU.
        repeats: Rounds that count: in each, every contestant does a step.
        warm_up: Rounds before them that do not.
        counts: Numbers of images at which operations and synchronisations are counted; "" for none.
        amp: Whether to use automatic mixed precision.
        amp_dtype: "fp16" or "bf16", which imply `amp`.
        compile: Whether this package's contestants train with their backbone and neck compiled, as `rgacli.train` does.
        device: As for `rgacli.train`.
        threads: Of torch on the CPU; by default its own choice.
        save: File to write the record to.
        progress: Told of each step.

    Raises:
        UsageError: a parameter is out of range, or the weights or the config cannot be used.
    """
    common = _settings(config, weights, contestants, batch, size, repeats, warm_up, counts, amp, amp_dtype, compile)
    return _on(device, threads, save, {"train": lambda: _train(common(), progress)})


def bench_infer(
    *,
    config: str | None = None,
    weights: str | None = None,
    contestants: str | None = None,
    batch: int = 2,
    size: str | None = None,
    repeats: int = 5,
    warm_up: int = 1,
    counts: str = "2,8,16",
    amp: bool = False,
    amp_dtype: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Time predictions: of one head, of the ensemble alone, of every head with the ensemble, and of the others.

    Args:
        config, weights, contestants, batch, size, repeats, warm_up, counts: As for `bench_train`.
        amp, amp_dtype, device, threads, save, progress: As for `bench_train`.

    Raises:
        UsageError: as `bench_train`.
    """
    common = _settings(config, weights, contestants, batch, size, repeats, warm_up, counts, amp, amp_dtype)
    return _on(device, threads, save, {"infer": lambda: _infer(common(), progress)})


def bench_eval(
    *,
    images: int = 5000,
    samples: int = 200,
    reference_samples: int = 3,
    bins: str | None = None,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Time AP of two heads and their ensemble, in bins, with intervals, against pycocotools and faster-coco-eval.

    The detections are made up: 100 an image of 80 classes, objects as frequent as in COCO.

    Args:
        images: Their number.
        samples: Bootstrap samples for the interval of each bin.
        reference_samples: How many of them are timed with the others; what the rest would take is extrapolated, and the
            record says so.
        bins: Bins of the number of objects; by default 1-3,4-7,8+.
        save: File to write the record to.
        progress: Told of each library.

    Raises:
        UsageError: malformed bins, or a number is out of range.
    """
    _require_positive(images=images, samples=samples, reference_samples=reference_samples)
    return _on("auto", None, save, {"eval": lambda: _eval(images, samples, reference_samples, bins, progress)})


def bench_data(
    *,
    config: str | None = None,
    data: Path | None = None,
    batch: int = 2,
    size: str | None = None,
    workers: str = "0,2",
    batches: int = 20,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Time the training's dataloader.

    Args:
        config: Whose dataloader; by default as for `bench_train`.
        data: A dataset in place of the embedded one.
        batch: Images in a batch.
        size: "HEIGHTxWIDTH" that images are resized to fit, px; by default as for `bench_train`.
        workers: Numbers of processes that load, 0 for none.
        batches: How many are timed.
        save: File to write the record to.
        progress: Told of each number of workers.

    Raises:
        UsageError, DataError: the config or the dataset cannot be used, or a number is out of range.
    """
    _require_positive(batch=batch, batches=batches)
    return _on("auto", None, save, {"data": lambda: _data(config, data, batch, size, workers, batches, progress)})


def bench_startup(*, repeats: int = 5, save: Path | None = None, progress: Progress | None = None) -> Benchmark:
    """Time what a person waits for before anything happens: the import, the help, and the list of runs.

    Args:
        repeats: Rounds that count.
        save: File to write the record to.
        progress: Told of each process.

    Raises:
        UsageError: a number is out of range.
    """
    _require_positive(repeats=repeats)
    return _on("auto", None, save, {"startup": lambda: _startup(repeats, progress)})


def bench_all(
    *,
    config: str | None = None,
    weights: str | None = None,
    contestants: str | None = None,
    batch: int = 2,
    size: str | None = None,
    repeats: int = 5,
    warm_up: int = 1,
    counts: str = "2,8,16",
    amp: bool = False,
    amp_dtype: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    images: int = 5000,
    samples: int = 200,
    reference_samples: int = 3,
    save: Path | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Run all benchmarks, training, inference, evaluation, loading and starting, for one record.

    Args:
        config, weights, contestants, batch, size, repeats, warm_up, counts: As for `bench_train`.
        amp, amp_dtype, device, threads, save, progress: As for `bench_train`.
        images, samples, reference_samples: As for `bench_eval`.

    Raises:
        UsageError: as the single ones.
    """
    _require_positive(images=images, samples=samples, reference_samples=reference_samples)
    common = _settings(config, weights, contestants, batch, size, repeats, warm_up, counts, amp, amp_dtype)
    works = {
        "startup": lambda: _startup(repeats, progress),  # first, while nothing else has to be waited for
        "data": lambda: _data(config, None, batch, size, "0,2", 20, progress),
        "eval": lambda: _eval(images, samples, reference_samples, None, progress),
        "infer": lambda: _infer(common(), progress),
        "train": lambda: _train(common(), progress),
    }
    return _on(device, threads, save, works)


def _settings(
    config: str | None,
    weights: str | None,
    contestants: str | None,
    batch: int,
    size: str | None,
    repeats: int,
    warm_up: int,
    counts: str,
    amp: bool,
    amp_dtype: str | None,
    compile: bool = False,
) -> Callable[[], Settings]:
    """Return what makes the settings once the device is chosen; what can be refused at once is."""
    from rgacli.bench.settings import Settings, parse_contestants, parse_counts, parse_size
    from rgacli.engine.precision import DTYPES

    _require_positive(batch=batch, repeats=repeats)
    if warm_up < 0:
        raise UsageError(f"{param('warm_up', warm_up)} must be 0 or more.")
    if amp_dtype is not None and amp_dtype not in DTYPES:
        raise UsageError(f"{param('amp_dtype', amp_dtype)} is neither {' nor '.join(DTYPES)}.")
    names, numbers = parse_contestants(contestants), parse_counts(counts)
    parse_size(size)
    return lambda: Settings(
        config=config,
        weights=weights,
        contestants=names,
        batch=batch,
        size=parse_size(size),
        repeats=repeats,
        warm_up=warm_up,
        amp=amp_dtype or ("fp16" if amp else None),
        compile=compile,
        counts=numbers,
    )


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"{param(name, number)} must be 1 or more.")


def _on(device: str, number: int | None, save: Path | None, works: dict[str, Callable[[], Any]]) -> Benchmark:
    """Do the works on a device with so many threads, and write their record."""
    import rgacli.bench  # noqa: F401  (first: it supplies the compiled part of mmcv)
    from rgacli.bench import record
    from rgacli.bench.settings import threads
    from rgacli.engine.device import on_device

    if number is not None:
        _require_positive(threads=number)
    if save is not None:
        require_writable(save)
    sections: dict[str, Any] = {}
    with on_device(device), threads(number):
        for name, work in works.items():
            sections[name] = work()
            found = record.assemble(sections)
            if save is not None:
                record.write(found, save)  # what comes next may run out of memory
    return Benchmark(found, save)


def _train(settings: Settings, progress: Progress | None) -> dict[str, Any]:
    from rgacli.bench.detectors import measure_training

    return measure_training(settings, progress)


def _infer(settings: Settings, progress: Progress | None) -> dict[str, Any]:
    from rgacli.bench.detectors import measure_inference

    return measure_inference(settings, progress)


def _eval(
    images: int, samples: int, reference_samples: int, bins: str | None, progress: Progress | None
) -> dict[str, Any]:
    from rgacli.bench import evaluation

    return evaluation.measure(
        images=images, samples=samples, reference_samples=reference_samples, bins=bins, progress=progress
    )


def _data(
    config: str | None,
    data: Path | None,
    batch: int,
    size: str | None,
    workers: str,
    batches: int,
    progress: Progress | None,
) -> dict[str, Any]:
    from rgacli.bench import loading
    from rgacli.bench.settings import parse_size

    numbers = [part.strip() for part in workers.split(",")]
    if not all(number.isdigit() for number in numbers):
        raise UsageError(f"{param('workers', workers)} is no list of numbers such as 0,2.")
    return loading.measure(
        config=config,
        data=data,
        size=parse_size(size),
        batch=batch,
        workers=[int(number) for number in numbers],
        batches=batches,
        progress=progress,
    )


def _startup(repeats: int, progress: Progress | None) -> dict[str, Any]:
    from rgacli.bench import startup

    return startup.measure(repeats=repeats, progress=progress)
