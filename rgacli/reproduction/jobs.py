"""What a sweep comes down to: jobs, each a few calls of `rgacli`'s functions about one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.data.synthetic import embedded_folder
from rgacli.errors import UsageError
from rgacli.reproduction.sweep import Figure, Sweep, Table
from rgacli.runs import Run
from rgacli.wording import called

RUNS, FIGURES = "runs", "figures"
"""Folders of a sweep, beside its manifest."""

EMBEDDED, EMBEDDED_TEST = "embedded", 400
"""What a sweep calls the embedded dataset, and its test images: so many that an interval of AP is within 1.5 points."""

_FIXED: Mapping[str, Mapping[str, Any]] = {
    "evaluate": {"head": "all"},
    # Intervals of a sweep are over seeds: those over images would cost more than they tell.
    "gt_bins": {"bootstrap": 0},
    "ensemble": {"method": ["ensemble"], "bootstrap": 2, "timed": 0},
}
_BINNED = ("gt_bins", "ensemble", "proposals", "scores")
_READ = ("positives", "accuracy", "gradients")
"""Those that run no detector: they read what a training logged."""


_SHARED = ("train", "evaluate")
"""Those that several processes can share."""


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        function: Of `rgacli`.
        parameters: But for its run: the job says which.
    """

    function: str
    parameters: Mapping[str, Any]

    @property
    def is_shared(self) -> bool:
        """Whether several processes can take it together."""
        return self.function in _SHARED


@dataclass(frozen=True)
class Job:
    """Steps that are taken one after another, by one process (or a job of several) at a time.

    Attributes:
        name: "rga-s0": names its folder, and its run.
        arm: What it is of: an arm, a combination or a table's figure.
        seed: Of its run.
        steps: Training and measuring, or measuring alone.
        after: Jobs whose runs it needs: of a combination and of a figure, those that it is made of; of an arm that
            starts from another's weights, that one.
    """

    name: str
    arm: str
    seed: int
    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether it has a run of its own."""
        return self.steps[0].function == "train"

    @property
    def starts_from(self) -> str | None:
        """The job from whose run it takes its weights."""
        return self.after[0] if self.trains and self.after else None


def job_name(arm: str, seed: int) -> str:
    """Return the name of the job of an arm and a seed."""
    return f"{arm}-s{seed}"


def run_folder(sweep: Path, job: str) -> Path:
    """Return where the run of a job lies in a sweep's folder."""
    return sweep / RUNS / job


def plan(
    sweep: Sweep, tables: Sequence[Table], *, seeds: Sequence[int], common: Mapping[str, Any], device: str = "auto"
) -> list[Job]:
    """Return the jobs that tables take, seed by seed, so that a sweep that is not yet done has told of every arm.

    Args:
        sweep: The arms.
        tables: Of the sweep.
        seeds: To train each arm with.
        common: Parameters of every training, which an arm's own are put over.
        device: Of all jobs.
    """
    measures = {name: _measures(name, tables) for name in (*sweep.arms, *sweep.combined)}
    wanted = _with_sources(sweep, (arm for table in tables for arm in table.arms))
    jobs = []
    for seed in seeds:
        jobs += [_of_arm(sweep, arm, seed, common, measures[arm], device) for arm in wanted if arm in sweep.arms]
        jobs += [_of_combination(sweep, name, seed, device) for name in wanted if name in sweep.combined]
        if seed == seeds[0]:
            jobs += [_of_figure(sweep, table.name, table.figure, seed, device) for table in tables if table.figure]
    return jobs


def _measures(arm: str, tables: Iterable[Table]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(measure for table in tables if arm in table.arms for measure in table.measures))


def _with_sources(sweep: Sweep, arms: Iterable[str]) -> tuple[str, ...]:
    """Return arms with those that they are made of, or start from, before them, each once."""

    def each(arm: str) -> Iterator[str]:
        for member in sweep.combined.get(arm, ()):
            yield from each(member)
        if arm in sweep.trained_from:
            yield sweep.trained_from[arm]
        yield arm

    return tuple(dict.fromkeys(name for arm in arms for name in each(arm)))


def _on(device: str) -> dict[str, Any]:
    return {} if device == "auto" else {"device": device}


def _of_arm(sweep: Sweep, arm: str, seed: int, common: Mapping[str, Any], measures: Sequence[str], device: str) -> Job:
    own = {**common, **sweep.arms[arm], "seed": seed, **_on(device)}
    first = {"config": own["config"]} if "config" in own else {}  # as one writes it
    return Job(
        name=job_name(arm, seed),
        arm=arm,
        seed=seed,
        steps=(Step("train", {**first, **own}), *(_step(function, sweep, device) for function in measures)),
        after=(job_name(sweep.trained_from[arm], seed),) if arm in sweep.trained_from else (),
    )


def _step(function: str, sweep: Sweep, device: str) -> Step:
    """Return a step that measures or combines."""
    bins = {"bins": sweep.bins} if sweep.bins and function in _BINNED else {}
    return Step(function, {**_FIXED.get(function, {}), **bins, **({} if function in _READ else _on(device))})


def _of_combination(sweep: Sweep, name: str, seed: int, device: str) -> Job:
    members = tuple(job_name(arm, seed) for arm in sweep.combined[name])
    return Job(job_name(name, seed), name, seed, (_step("ensemble", sweep, device),), members)


def _of_figure(sweep: Sweep, table: str, figure: Figure, seed: int, device: str) -> Job:
    """Return the job of a figure, which has the intervals over images that its runs' own do without."""
    step = _step(figure.function, sweep, device)
    drawn = Step(figure.function, {key: value for key, value in step.parameters.items() if key != "bootstrap"})
    return Job(table, table, seed, (drawn,), tuple(job_name(arm, seed) for arm in figure.arms))


def call_of(sweep: Path, job: Job, step: Step) -> dict[str, Any]:
    """Return all parameters of a step's call: its own, and those that say which run and where.

    Args:
        sweep: The sweep's folder.
        job, step: Of the job.
    """
    own = dict(step.parameters)
    if step.function == "train":
        if own.get("data") == EMBEDDED:
            own["data"] = str(embedded_folder(test=EMBEDDED_TEST))
        if job.starts_from:
            own["weights"] = str(_last_weights(sweep, job.starts_from))
        return {**own, "work_dir": str(run_folder(sweep, job.name))}
    if job.trains:
        key = "run" if step.function == "evaluate" else "runs"
        return {key: str(run_folder(sweep, job.name)), **own}
    return {
        "runs": [str(run_folder(sweep, name)) for name in job.after],
        **own,
        "out": str(sweep / FIGURES / job.name),
    }


def command_of(sweep: Path, job: Job, step: Step, processes: int) -> str:
    """Return a step's call as it can be repeated, by as many processes: that takes the command line.

    Args:
        sweep: The sweep's folder.
        job, step: Of the job.
        processes: That take it together, if they can.
    """
    together = {"gpus": processes} if processes > 1 and step.is_shared else {}
    return called(step.function, {**call_of(sweep, job, step), **together})


def _last_weights(sweep: Path, job: str) -> Path:
    """Return the last checkpoint of another job's run; before that is trained, a name for it."""
    run = Run(run_folder(sweep, job))
    try:
        return run.last_checkpoint()
    except UsageError:
        return run.checkpoints / "LAST.pth"
