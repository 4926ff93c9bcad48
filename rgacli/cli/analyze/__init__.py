"""`rgacli analyze`: one module per subcommand."""

import typer

from rgacli.cli.analyze.accuracy import accuracy
from rgacli.cli.analyze.calibration import calibration
from rgacli.cli.analyze.count_error import count_error
from rgacli.cli.analyze.dataset import dataset
from rgacli.cli.analyze.errors import errors
from rgacli.cli.analyze.gradients import gradients
from rgacli.cli.analyze.gt_bins import gt_bins
from rgacli.cli.analyze.positives import positives
from rgacli.cli.analyze.proposals import proposals
from rgacli.cli.analyze.report import report
from rgacli.cli.analyze.scores import scores
from rgacli.cli.command import Command

app = typer.Typer(
    name="analyze", help="Look inside: figures and tables of the paper, for your own data.", no_args_is_help=True
)

app.command("positives", cls=Command)(positives)
app.command("accuracy", cls=Command)(accuracy)
app.command("gradients", cls=Command)(gradients)
app.command("proposals", cls=Command)(proposals)
app.command("scores", cls=Command)(scores)
app.command("gt-bins", cls=Command)(gt_bins)
app.command("errors", cls=Command)(errors)
app.command("calibration", cls=Command)(calibration)
app.command("count-error", cls=Command)(count_error)
app.command("dataset", cls=Command)(dataset)
app.command("report", cls=Command)(report)
