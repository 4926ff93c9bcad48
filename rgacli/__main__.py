"""`python -m rgacli` is `rgacli`."""

from rgacli.cli.app import main

main(name="rgacli")
