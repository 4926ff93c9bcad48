"""`rgacli analyze positives`."""

from __future__ import annotations

from rgacli.cli.analyze.options import LoggedOutOption, RunsArgument, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import JsonOption


def positives(
    runs: RunsArgument = None,
    out: LoggedOutOption = None,
    style: StyleOption = "screen",
    json: JsonOption = False,
) -> None:
    """Show how many positives each head really drew per image, along the training (the paper's Fig. 1a).

    It is read from what runs logged; of a cascade, its first stage. Several runs are overlaid.
    """
    from rgacli.api import positives as api

    print_analysis(api.positives(runs, out=out, style=style), json=json)
