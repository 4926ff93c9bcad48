"""Results files: detections in COCO's format, and the annotations that they are measured against."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials

_WRONG: dict[str, dict[str, Any]] = {
    "an unknown image": {"image_id": 999},
    "an unknown category": {"category_id": 999},
    "an image that is a list": {"image_id": [1]},
    "an image that is a text": {"image_id": "1"},
    "a category of null": {"category_id": None},
    "a score of NaN": {"score": float("nan")},
    "a score of infinity": {"score": float("inf")},
    "a score that is a text": {"score": "0.5"},
    "a score of null": {"score": None},
    "a box of NaN": {"bbox": [1, 2, float("nan"), 4]},
    "a box of 400 digits": {"bbox": [10**400, 2, 3, 4]},
    "a box of negative width": {"bbox": [1, 2, -3, 4]},
    "a box of three numbers": {"bbox": [1, 2, 3]},
    "a box that is an object": {"bbox": {"x": 1}},
    "a box that is null": {"bbox": None},
}


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    results, annotations = copy.deepcopy(materials.results), materials.annotations
    kind = random.choices(("broken", "recoded", "entry", "anywhere", "annotations", "odd"), (4, 1, 5, 6, 4, 2))[0]
    text, truth, wrong = json.dumps(results), json.dumps(annotations), True
    if kind == "broken":
        what, content = mutations.broken_json(random, text)
    elif kind == "recoded":
        what, content = mutations.recoded_json(random, text)
        wrong = False
    elif kind == "entry":
        what = random.choice([*_WRONG, "an entry lost a key", "an entry that is null", "results in an object"])
        if what in _WRONG:
            random.choice(results).update(_WRONG[what])
        elif what == "an entry lost a key":
            random.choice(results).pop(random.choice(("image_id", "category_id", "bbox", "score")))
        elif what == "an entry that is null":
            results.append(None)
        else:
            results = {"annotations": results}
        content = json.dumps(results).encode()
    elif kind == "anywhere":
        what, changed = mutations.mutated(random, results)
        content, wrong = json.dumps(changed).encode(), False
    elif kind == "annotations":
        what, changed = mutations.mutated(random, annotations)
        content, truth, wrong = text.encode(), json.dumps(changed), False
        what = f"annotations: {what}"
    else:
        what = random.choice(("no detection at all", "equal scores", "boxes without area", "10000 on an image"))
        entry = results[0]
        results = {
            "no detection at all": [],
            "equal scores": [{**each, "score": 0.5} for each in results],
            "boxes without area": [{**each, "bbox": [*each["bbox"][:2], 0, 0]} for each in results],
            "10000 on an image": [{**entry, "score": 1 / (1 + index)} for index in range(10_000)],
        }[what]
        content, wrong = json.dumps(results).encode(), False
    (folder / "a.json").write_bytes(content)
    (folder / "b.json").write_text(text)
    (folder / "truth.json").write_text(truth)
    given = ("--results", "a=a.json", "--annotations", "truth.json")
    command = random.choice(
        [
            ("ensemble", "--results", "b=b.json", *given, "--method", random.choice(("wbf", "nms", "soft-nms"))),
            ("analyze", "gt-bins", *given),
            ("analyze", "gt-bins", "--results", "b=b.json", *given, "--bootstrap", 10),
            ("analyze", "errors", *given),
            ("analyze", "calibration", *given),
            ("analyze", "count-error", *given),
        ]
    )
    return Case(f"results {what}", command, wrong)
