"""Which checkpoint a run goes on from: its last, or where that is damaged the newest that is whole."""

from __future__ import annotations

from pathlib import Path

from rgacli.errors import UsageError
from rgacli.messages import tell
from rgacli.modeling.checkpoints import DamagedCheckpoint, read_checkpoint
from rgacli.runs import Run
from rgacli.wording import param


def checkpoint_to_resume(run: Run) -> Path:
    """Return a run's last checkpoint, or the newest whole one, which is told: nothing but time is lost by it.

    From each of its checkpoints a training comes to the same end. Damaged ones stay until it has come to where it
    writes them anew.

    Raises:
        UsageError: there is none, or none is whole.
    """
    last = run.last_checkpoint()
    if last == run.starting_point:
        raise UsageError(
            f"run {run.path} has no training to go on with ({param('epochs', 0)}): train from its checkpoint by "
            f"{param('weights', last)}."
        )
    try:
        read_checkpoint(last)
    except DamagedCheckpoint as error:
        others = [path for path in run.all_checkpoints() if path != last]
        whole = {path: iteration for path in others if (iteration := _iteration(path)) is not None}
        if not whole:
            best = f", from its best by {param('weights', run.best)}" if run.best.is_file() else ""
            raise UsageError(
                f"{error.message} Run {run.path} has no whole one to go on from: train again{best}."
            ) from None
        newest = max(whole, key=lambda path: whole[path])
        tell(f"checkpoint {last} is damaged: going on from the newest that is whole, {newest}")
        return newest
    return last


def _iteration(checkpoint: Path) -> int | None:
    """Return after how many iterations a checkpoint was written; None where it is damaged."""
    try:
        return read_checkpoint(checkpoint).get("meta", {}).get("iter")
    except DamagedCheckpoint:
        return None
