"""ONNX files: damaged, of other models, with other metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    content = materials.onnx.read_bytes()
    ways: dict[str, Callable[[], bytes]] = {
        "cut short": lambda: mutations.cut(random, content),
        "bits flipped": lambda: mutations.flipped(random, content, random.choice((1, 20, 1000))),
        "empty": lambda: b"",
        "a text": lambda: b"This is no model.\n",
        "chance bytes": lambda: random.randbytes(3000),
        "NULs": lambda: bytes(3000),
        "a checkpoint": lambda: max((materials.run / "checkpoints").glob("epoch_*.pth")).read_bytes(),
        **{what: (lambda change=change: _changed(content, change)) for what, change in _CHANGES.items()},
    }
    what = random.choice(list(ways))
    (folder / "model.onnx").write_bytes(ways[what]())
    image = materials.dataset / "images/val/000001.jpg"
    named = ("--checkpoint", "model.onnx")
    command = random.choices(
        [
            ("predict", image, *named, "--out", "out", "--device", "cpu"),
            ("predict", image, *named, "--out", "out", "--tiles", 32, "--device", "cpu"),
            ("eval", *named, "--device", "cpu"),
        ],
        (8, 1, 1),
    )[0]
    return Case(what, command, wrong=what not in ("bits flipped", "cut short", *_FINE))


def _changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    change(model)
    return model.SerializeToString()


def _metadata(key_part: str, value: str | None) -> Callable[[Any], None]:
    """Return what sets a metadata entry whose key has a part, or removes it."""

    def change(model: Any) -> None:
        kept = [(each.key, value if key_part in each.key else each.value) for each in model.metadata_props]
        del model.metadata_props[:]
        for key, text in kept:
            if text is not None:
                model.metadata_props.add(key=key, value=text)

    return change


def _no_input(model: Any) -> None:
    del model.graph.input[:]


def _renamed_input(model: Any) -> None:
    old, new = model.graph.input[0].name, "other"
    model.graph.input[0].name = new
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def _no_output(model: Any) -> None:
    del model.graph.output[:]


def _one_output(model: Any) -> None:
    del model.graph.output[1:]


def _another(model: Any) -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, None, None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, None, None])
    model.graph.CopyFrom(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y]))


def _no_weights(model: Any) -> None:
    del model.graph.initializer[:]


def _unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


def _future(model: Any) -> None:
    model.ir_version = 999


_CHANGES: dict[str, Callable[[Any], None]] = {
    "no input": _no_input,
    "an input of another name": _renamed_input,
    "no output": _no_output,
    "one output": _one_output,
    "another model with its metadata": _another,
    "no weights": _no_weights,
    "an unknown operator": _unknown_operator,
    "of a version to come": _future,
    "no metadata": lambda model: model.metadata_props.__delitem__(slice(None)),
    "classes lost": _metadata("class", None),
    **{
        f"classes of {value[:20]}": _metadata("class", value)
        for value in ("", "null", "[]", "3", "x", "[1, 2]", '{"a": 1}', '["a"]', '"abc"')
    },
    **{
        f"a resize of {value[:30]}": _metadata("resize", value)
        for value in (
            *("", "null", "[]", "3", '{"scale": 5}', '{"scale": [0, 0]}', '{"scale": [-5, 5]}', '{"other": 1}'),
            *('{"scale": ["a", "b"]}', '{"scale": [1e9, 1e9], "keep_ratio": true}', '{"scale": [1000000, 1000000]}'),
        )
    },
}
_FINE = ("a resize of null", "a resize of ", "a resize of []", 'classes of ["a"]')
