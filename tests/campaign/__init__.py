"""The campaign of faults: what rgacli claims ("nothing lost", "one clear line", "the same bits"), tried at random.

`python -m tests.campaign` (`make campaign`) runs it; `--short` is a part that takes eight minutes on two cores.

Each module here that PARTS names is a part: its docstring's first line says what it tries, and `trials(stage)` yields
its trials. A trial (`trial.Trial`) is of one kind of fault, and fails by an AssertionError that says what was lost.
`stage.Stage` has what trials share: seeded random numbers, a dataset, a trained run, the command line in a process of
its own, or in one forked off a process that has imported everything (`forked`). `ended` holds in what ways a command
may end.

Figures go into a record (`record`), from which README's table is generated. `assets/campaign/found.yaml` lists the
failures that were found, each with the test that holds it mended.
"""

PARTS = ("kill", "disk", "hostile", "edges", "sameness", "supply", "load", "endurance")

BY_NAME = ("endurance",)
"""Parts that are left out unless they are named: each takes as long as all others together."""
