"""`python -m tests.campaign`: run the campaign, or parts of it. Exit code 1 if a trial failed."""

from __future__ import annotations

import argparse
import importlib
import os
import time
from datetime import date
from pathlib import Path

# Before torch is imported, and for the processes that trials start: everything here is too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.campaign import BY_NAME, PARTS, record
from tests.campaign.running import run_part
from tests.campaign.supply import dependencies
from tests.campaign.trial import Outcome


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description="Try to break rgacli, at random.")
    by_default = f"by default all but {', '.join(BY_NAME)}"
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"Parts to run; {by_default}.")
    parser.add_argument("--seed", type=int, default=0, help="Of what is random (default 0).")
    parser.add_argument("--short", action="store_true", help="A part of it: eight minutes on two cores.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="Trials at a time; by default the cores.")
    parser.add_argument("--only", default="", help="Run trials whose kind or name contains this.")
    parser.add_argument("--record", type=Path, help="JSON file whose figures of these parts are replaced.")
    options = parser.parse_args()
    failed = 0
    default = [part for part in PARTS if part not in BY_NAME]
    for part in options.parts or default:
        title = (importlib.import_module(f"tests.campaign.{part}").__doc__ or part).splitlines()[0].rstrip(".")
        print(f"{part}: {title}", flush=True)
        begun = time.monotonic()
        outcomes = run_part(
            part, seed=options.seed, short=options.short, jobs=options.jobs, only=options.only, told=_Teller()
        )
        seconds = time.monotonic() - begun
        failures = [outcome for outcome in outcomes if outcome.failure]
        left_out = sum(bool(outcome.not_here) for outcome in outcomes)
        print(
            f"{part}: {len(outcomes) - left_out} tried, {len(failures)} failed, {left_out} not possible here, "
            f"{seconds:.0f} s",
            flush=True,
        )
        failed += len(failures)
        if options.record:
            whole = record.read(options.record)
            whole["dependencies"] = {"date": date.today().isoformat(), **dependencies()}
            whole["parts"][part] = record.assemble(
                outcomes, title=title, seed=options.seed, short=options.short, seconds=seconds
            )
            record.write(whole, options.record)
    return int(failed > 0)


class _Teller:
    """Prints failures as they come, and now and then how far it is."""

    def __init__(self) -> None:
        self.count, self.told = 0, time.monotonic()

    def __call__(self, outcome: Outcome) -> None:
        self.count += 1
        if outcome.failure:
            print(f"FAILED {outcome.kind}: {outcome.name}\n    {outcome.failure.strip()}", flush=True)
        if outcome.not_here:
            print(f"not here: {outcome.kind}: {outcome.name}: {outcome.not_here}", flush=True)
        if time.monotonic() > self.told + 30:
            self.told = time.monotonic()
            print(f"  {self.count} tried", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
