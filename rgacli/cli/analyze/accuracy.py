"""`rgacli analyze accuracy`."""

from __future__ import annotations

from rgacli.cli.analyze.options import LoggedOutOption, RunsArgument, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import JsonOption


def accuracy(
    runs: RunsArgument = None,
    out: LoggedOutOption = None,
    style: StyleOption = "screen",
    json: JsonOption = False,
) -> None:
    """Show heads' accuracy on positives and on negatives along the training, and validation (the paper's Fig. 3).

    It is read from what runs logged; of a cascade, its first stage. Several runs are overlaid, and compared at the
    same iterations with the one without RGA, of several with that of the same seed, else with the first named. The
    95 % intervals tell how steady a difference is within these runs, not what other seeds would bring.
    """
    from rgacli.api import accuracy as api

    print_analysis(api.accuracy(runs, out=out, style=style), json=json)
