"""`python -m rgacli` is `rgacli`."""

from rgacli.cli.app import app

app(prog_name="rgacli")
