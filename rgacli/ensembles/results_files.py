"""Results files of any framework, combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rgacli.ensembles.ensemble import OF_RESULTS, Detected, Ensemble, home_of
from rgacli.errors import UsageError
from rgacli.evaluation.result_arrays import ResultArrays
from rgacli.evaluation.results import load_named_results
from rgacli.method import ENSEMBLING_METHODS
from rgacli.progress import Progress
from rgacli.wording import param

if TYPE_CHECKING:
    from rgacli.evaluation.gt_bins import GTBin


class ResultsEnsemble(Ensemble):
    """Results files of any framework, whose scores are probabilities.

    Args:
        results: COCO results files, NAME=FILE each or name -> file.
        annotations: The COCO annotations that they were made for.
        home: Folder of what is made of them; by default ensembles/A+B.

    Raises:
        UsageError, DataError: they cannot be used.
    """

    methods = OF_RESULTS

    def __init__(
        self, results: Sequence[str] | Mapping[str, Path], annotations: Path | None, home: Path | None = None
    ) -> None:
        self.annotations, members = load_named_results(results, annotations, probabilities=True)
        self._members = {name: ResultArrays.of(members[name]) for name in members}  # by name: one at a time is read
        self.split = self.ann_file = str(annotations)
        if len(self._members) < 2:
            raise UsageError(f"{param('results')} names a single file: nothing to combine, give at least two.")
        for name in self._members:
            if name in ENSEMBLING_METHODS:
                raise UsageError(f"{param('results')}: {name} is the name of a method; give the file another.")
        self.name = " + ".join(self._members)
        home = home or home_of(self._members)
        self.folder, self.figures = home / "detections", home / "figures"

    def obstacle(self, method: str) -> str | None:
        """See Ensemble."""
        return None if method in self.methods else "it takes detectors, and results files hold their boxes alone"

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None = None) -> Detected:
        """See Ensemble: what the files hold."""
        return Detected(self._members, {})
