"""How many positive proposals a trained RPN yields, by the number of objects in the image (paper, Fig. 1b)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rgacli.analysis import per_bin, words
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.intervals import FEW_IMAGES, estimate_of, mean
from rgacli.analysis.proposals import figure
from rgacli.analysis.proposals.rows import Counted, Record, Row, label_of, rows_of
from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Proposals(Finding):
    """Positive proposals by the number of objects in the image, of runs and of their checkpoints.

    Attributes:
        counted: Of each run, each checkpoint in the order asked for; the last one stands for the run.
        bins: Bins that do not overlap.
        about: Runs, checkpoints, split and bins.
        rows: Per run and checkpoint one for all images that have objects, then one per bin.
    """

    name: ClassVar[str] = "proposals"
    title: ClassVar[str] = "positive proposals per image"
    paper: ClassVar[str] = "the more objects an image has, the more positive proposals a trained RPN yields (Fig. 1b)"
    counted: Sequence[Counted]
    bins: Sequence[GTBin]
    about: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def runs(self) -> dict[str, list[Counted]]:
        """Run -> its checkpoints, in the order asked for."""
        found: dict[str, list[Counted]] = {}
        for counted in self.counted:
            found.setdefault(counted.run, []).append(counted)
        return found

    def rows_of(self, counted: Counted) -> dict[str, Row]:
        """Return bin -> row, of one checkpoint."""
        key = (counted.run, counted.checkpoint)
        return {row.bin: row for row in self.rows if (row.run, row.checkpoint) == key}

    def images_of(self, counted: Counted) -> dict[str, list[Record]]:
        """Return bin -> its images, of one checkpoint; those outside all bins have "" for theirs."""
        found: dict[str, list[Record]] = {}
        for record in counted.records:
            if record["gt_count"]:
                found.setdefault(label_of(record, self.bins), []).append(record)
        return found

    def images_in(self, label: str) -> int:
        """Return how many images are in a bin."""
        return self.rows_of(self.counted[0])[label].images

    def conclusion(self) -> str:
        """Say how many positives the bins have, how they go with objects, and how that changes in training."""
        named = len(self.runs) > 1
        return "; ".join((f"{run}: " if named else "") + self._sentence(own) for run, own in self.runs.items())

    def tables(self) -> list[Table]:
        """Return, per run, a table of the bins, and one of the correlation by checkpoint."""
        return [table for run, own in self.runs.items() for table in self._tables(run, own)]

    def points(self) -> list[dict[str, Any]]:
        """Return the records of the images that have objects; those outside all bins have "" for theirs."""
        found = [
            {"run": own.run, "checkpoint": own.checkpoint, "bin": label, **record}
            for own in self.counted
            for label, records in self.images_of(own).items()
            for record in records
        ]
        if not any(point["bin"] for point in found):
            raise UsageError("nothing to draw: no image falls into any bin.")
        return found

    def draw(self) -> Figure:
        """Draw Fig. 1b: positives against objects, and their distribution per bin; below, through the checkpoints."""
        return figure.draw(self)

    def _sentence(self, own: Sequence[Counted]) -> str:
        rows = self.rows_of(own[-1])
        overall = rows.pop(ALL)
        told = [row for row in rows.values() if row.images >= FEW_IMAGES]
        parts = [f"{overall.mean:.1f}", *(f"{row.mean:.1f} in those with {per_bin.subset(row.bin)}" for row in told)]
        per_object, relation = estimate_of(overall, "per_object"), estimate_of(overall, "spearman")
        sentence = (
            f"positive proposals per image: {', '.join(parts)}; {words.with_ends(*per_object, decimals=1)} to an object"
        )
        if relation.is_zero_inside:
            sentence += "; whether their number goes with that of objects cannot be told"
        else:
            how = "more objects, more positives" if relation.value > 0 else "more objects, fewer positives"
            sentence += f"; {how} (Spearman's {words.with_ends(*relation)})"
        return sentence + (self._through_training(own) if len(own) > 1 else "")

    def _through_training(self, own: Sequence[Counted]) -> str:
        """Return how much the last checkpoint's positives differ from the first's, on the same images."""
        first, last = own[0], own[-1]
        before = {record["image_id"]: record["positives"] for record in first.records}
        change = mean([one["positives"] - before[one["image_id"]] for one in last.records if one["gt_count"]])
        return f"; per image {words.in_words(*change, decimals=1)} from {first.checkpoint} to {last.checkpoint}"

    def _tables(self, run: str, own: Sequence[Counted]) -> Iterator[Table]:
        where = f"{run} on {self.about['split']}"
        rows = list(map(asdict, self.rows_of(own[-1]).values()))
        columns = ("bin", "images", "mean", "lower_quartile", "median", "upper_quartile", "share", "per_object")
        headings = {"lower_quartile": "25 %", "upper_quartile": "75 %", "per_object": "per object"}
        last = f", {own[-1].checkpoint}" if len(own) > 1 else ""
        yield Table(f"{self.title}: {where}{last}", {key: key for key in columns} | headings, rows)
        relations = [self.rows_of(each)[ALL] for each in own]
        shown = [
            {"checkpoint": row.checkpoint, "mean": words.with_ends(*estimate_of(row, "mean"), decimals=1)}
            | {key: words.with_ends(*estimate_of(row, key)) for key in ("per_object", "pearson", "spearman")}
            for row in relations
        ]
        headings = {"checkpoint": "checkpoint"} if last else {}
        headings |= {"mean": "per image", "per_object": "per object", "pearson": "Pearson", "spearman": "Spearman"}
        yield Table(f"positive proposals and objects, 95 % intervals: {where}", headings, shown)


def found_in(counted: Sequence[Counted], bins: Sequence[GTBin], **about: Any) -> Proposals:
    """Return what the records say of all images and of each bin; `about` is what they were counted on."""
    rows = [row for own in counted for row in rows_of(own, bins)]
    named = {"runs": list(dict.fromkeys(own.run for own in counted))}
    checkpoints = list(dict.fromkeys(own.checkpoint for own in counted))
    return Proposals(counted, bins, {**named, "checkpoints": checkpoints, **about, "bins": bins_text(bins)}, rows)


def checkpoint_name(path: Path) -> str:
    """Return what a checkpoint's file is called in tables: "epoch 4"."""
    return path.stem.replace("_", " ")
