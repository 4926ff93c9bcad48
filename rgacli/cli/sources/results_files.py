"""Results files of any framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rgacli.cli.analyze import read_results
from rgacli.cli.sources.source import METHODS, OF_RESULTS, Found, Method, Source, home_of
from rgacli.errors import UsageError


class Results(Source):
    """Results files of any framework, whose scores are probabilities.

    Raises:
        UsageError, DataError: they cannot be used.
    """

    methods = OF_RESULTS

    def __init__(self, files: Sequence[str], annotations: Path | None) -> None:
        self.annotations, self._found = read_results(files, annotations, probabilities=True)
        self.ann_file = str(annotations)
        if len(self._found) < 2:
            raise UsageError("--results names a single file: nothing to combine, give at least two.")
        for name in self._found:
            if name in METHODS:
                raise UsageError(f"--results: {name} is the name of a method; give the file another.")
        self.name = " + ".join(self._found)
        home = home_of(self._found)
        self.detections_dir, self.figures = home / "detections", home / "figures"

    @property
    def singles(self) -> Found:
        """As Source's."""
        return self._found

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        if method not in self.methods:
            return "it takes detectors, and results files hold their boxes alone"
        return super().obstacle(method)
