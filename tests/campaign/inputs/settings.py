"""`--set`: keys and values of chance."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.campaign.inputs.case import Case
from tests.campaign.inputs.configs import _places, small
from tests.campaign.inputs.materials import Materials

VALUES = (
    *("None", "", "x", "-1", "0", "1e30", "nan", "[]", "{}", "[1,2", "dict(type='X')", "{'type':'X'}", "True", "'"),
    *("()", "1,2", "9" * 5000, "__import__('os').system('touch code-ran')", "[" * 5000, "é", "a=b", "[[]]", "'a' * 9"),
)
_STRANGE = ("", "=", "x", ".=1", "model", "model=", "model.=1", ".model=1", "model..type=x", "a.b.c=1", "model=None")
_ODDER = (
    "model.type=nosuch",
    "train_cfg.val_interval=0",
    "custom_imports.imports=nosuch",
    "custom_hooks.99.type=x",
    "custom_imports={'imports':['nosuch']}",
    "model.0.type=x",
    "_base_=x",
    "default_scope=nosuch",
    "work_dir=/dev/null/x",
)


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    if random.random() < 0.2:
        given = random.choice((*_STRANGE, *_ODDER))
    else:
        places = list(_places(small("quickstart")))
        depth = random.choice((1, 2, 2, 3, 3, 4, 5))
        place = random.choice([place for place in places if len(place) == depth])
        if random.random() < 0.15:
            place = (*place[:-1], f"{place[-1]}x")
        given = f"{'.'.join(map(str, place))}={random.choice(VALUES)}"
    wrong = given in _STRANGE and given not in ("model=", "model=None")
    return Case(f"--set {given[:80]}", (*materials.stage.training(1), "--set", given), wrong)
