"""Running the trials of a part, some at a time, each in a folder of its own."""

from __future__ import annotations

import importlib
import itertools
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from tests.campaign.stage import Stage
from tests.campaign.trial import NotHere, Outcome, Trial


def run_part(
    part: str, *, seed: int, short: bool, jobs: int, only: str = "", told: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run a part of the campaign.

    Args:
        part: Of `tests.campaign.PARTS`.
        seed: Of what is random in it.
        short: Whether to run the short campaign alone.
        jobs: Trials at a time.
        only: What the kind or the name of a trial has to contain to be run.
        told: Called with each outcome as it comes.
    """
    module = importlib.import_module(f"tests.campaign.{part}")
    with tempfile.TemporaryDirectory(prefix=f"campaign-{part}-") as folder:
        stage = Stage(Path(folder), seed, part, short)
        try:
            chosen = (trial for trial in module.trials(stage) if only in trial.kind or only in trial.name)
            return list(_outcomes(chosen, Path(folder, "trials"), jobs, told))
        finally:
            stage.close()


def _outcomes(trials: Iterable[Trial], folder: Path, jobs: int, told: Callable[[Outcome], None]) -> Iterator[Outcome]:
    """Yield the outcomes in the order they come; a trial that is to be alone waits until no other runs."""
    with ThreadPoolExecutor(jobs) as pool:
        at_work: set[Future[Outcome]] = set()

        def come(least: int) -> Iterator[Outcome]:
            """Yield outcomes until fewer than `least` trials are at work."""
            while len(at_work) >= least:
                done, _ = wait(at_work, return_when=FIRST_COMPLETED)
                at_work.difference_update(done)
                for future in done:
                    outcome = future.result()
                    told(outcome)
                    yield outcome

        for number, trial in enumerate(trials):
            yield from come(1 if trial.alone else jobs)
            at_work.add(pool.submit(attempt, trial, folder / str(number)))
            if trial.alone:
                yield from come(1)
        yield from come(1)


def attempt(trial: Trial, folder: Path) -> Outcome:
    """Try it in a folder that is made for it, and removed."""
    folder.mkdir(parents=True)
    begun, failure, not_here, figures = time.monotonic(), "", "", {}
    try:
        found = trial.run(folder)
        figures = found if isinstance(found, dict) else {}
    except NotHere as reason:
        not_here = str(reason)
    except AssertionError as error:
        failure = str(error) or _last_lines(error)
    except Exception as error:  # the trial's own fault is a failure as well: nothing was shown
        failure = f"the trial itself: {_last_lines(error)}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(trial.kind, trial.name, failure, not_here, time.monotonic() - begun, figures)


def _last_lines(error: Exception) -> str:
    return "".join(itertools.islice(traceback.format_exception(error), 1, None))[-1500:]
