"""`rgacli doctor`."""

from __future__ import annotations

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import JsonOption
from rgacli.cli.output import print_json, print_table

app = typer.Typer()


@app.command(cls=Command)
def doctor(json: JsonOption = False) -> None:
    """Print what a bug report needs: versions, native ops, devices, dataset defaults, whether a tiny step works.

    Ends with exit code 1 if the tiny forward and backward pass fails.
    """
    from rgacli.api import doctor as api

    result = api.doctor()
    if json:
        print_json({**result.facts, "works": result.works})
    else:
        rows = [{"what": what, "value": value} for what, value in result.facts.items()]
        print_table("rgacli doctor", {"what": "", "value": ""}, rows)
    if not result.works:
        raise typer.Exit(1)
