"""Annotations: COCO's broken as a whole, entry by entry, or at a place of chance; YOLO's, VOC's and CrowdHuman's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials
from tests.cli.commands import TINY


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    kind = random.choices([_broken, _recoded, _entry, _anywhere, _yolo, _voc, _odgt, _other_coco], _WEIGHTS)[0]
    return kind(materials, random, folder)


_WEIGHTS = (4, 1, 8, 6, 3, 3, 2, 2)


def _command(random: Random, file: Path, *, check_alone: bool = False) -> tuple[str, tuple[object, ...]]:
    """Return a name and arguments of a command that reads the training split's annotations, or those of `file`."""
    data = file.parents[1]
    commands: dict[str, tuple[object, ...]] = {
        "check": ("data", "check", data),
        "dataset": ("analyze", "dataset", data),
        "convert": ("data", "convert", data, "out", "--to", random.choice(["coco", "yolo"]), "--images", "link"),
        "train": ("train", "quickstart", "--data", data, "--epochs", 1, "--device", "cpu", *TINY),
    }
    name = "check" if check_alone else random.choices(list(commands), (6, 4, 3, 2))[0]
    return name, commands[name]


def _read(data: Path) -> tuple[Path, str]:
    file = data / "annotations/train.json"
    return file, file.read_text()


def _broken(materials: Materials, random: Random, folder: Path) -> Case:
    file, text = _read(materials.copy_of(materials.dataset, folder))
    what, content = mutations.broken_json(random, text)
    file.write_bytes(content)
    return Case(f"annotations {what}", _command(random, file)[1], wrong=True)


def _recoded(materials: Materials, random: Random, folder: Path) -> Case:
    file, text = _read(materials.copy_of(materials.dataset, folder))
    what, content = mutations.recoded_json(random, text)
    file.write_bytes(content)
    return Case(f"annotations {what}", _command(random, file)[1])


def _entry(materials: Materials, random: Random, folder: Path) -> Case:
    """What is wrong with one entry, or with a pair: what `data check` has to find."""
    file, text = _read(materials.copy_of(materials.dataset, folder))
    content = json.loads(text)
    what = random.choice(list(_ENTRIES))
    section, change = _ENTRIES[what]
    change(random, content, random.choice(content[section]))
    file.write_text(json.dumps(content))
    name, arguments = _command(random, file)
    return Case(what, arguments, wrong=name == "check")


def _lose(key: str):
    return lambda random, content, entry: entry.pop(key)


def _put(key: str, value: Any):
    return lambda random, content, entry: entry.update({key: value})


def _double(section: str):
    return lambda random, content, entry: content[section].append(copy.deepcopy(entry))


def _box(index: int, value: float):
    def change(random: Random, content: Any, entry: dict[str, Any]) -> None:
        entry["bbox"][index] = value

    return change


_SECTIONS = ("images", "annotations", "categories")
_KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
    "categories": ("id", "name"),
}
_ENTRIES: dict[str, tuple[str, Any]] = {
    **{f"{section} without {key}": (section, _lose(key)) for section in _SECTIONS for key in _KEYS[section]},
    **{f"{section} with null for {key}": (section, _put(key, None)) for section in _SECTIONS for key in _KEYS[section]},
    **{
        f"{section} with an object for {key}": (section, _put(key, {"a": 1}))
        for section in _SECTIONS
        for key in _KEYS[section]
    },
    **{f"an id twice in {section}": (section, _double(section)) for section in _SECTIONS},
    **{f"no {section}": (section, lambda random, content, entry, s=section: content.pop(s)) for section in _SECTIONS},
    **{
        f"an object for {section}": (
            section,
            lambda random, content, entry, s=section: content.update({s: {"1": entry}}),
        )
        for section in _SECTIONS
    },
    **{
        f"null among {section}": (section, lambda random, content, entry, s=section: content[s].append(None))
        for section in _SECTIONS
    },
    **{
        f"a box with {value} at {index}": ("annotations", _box(index, value))
        for index in range(4)
        for value in (float("nan"), float("inf"), -1e30, 1e300, 10**400)
    },
    "a box of negative width": ("annotations", _box(2, -5.0)),
    "a box of negative height": ("annotations", _box(3, -5)),
    "a box far outside": ("annotations", _box(0, 1e6)),
    "a box of three numbers": ("annotations", _put("bbox", [1, 2, 3])),
    "a box of texts": ("annotations", _put("bbox", ["1", "2", "3", "4"])),
    "a box of lists": ("annotations", _put("bbox", [[1], [2], [3], [4]])),
    "a box of booleans and null": ("annotations", _put("bbox", [True, None, 1, 1])),
    "an area that is not a number": ("annotations", _put("area", float("nan"))),
    "an unknown category": ("annotations", _put("category_id", 999)),
    "a category of 400 digits": ("annotations", _put("category_id", 10**400)),
    "an image of no width": ("images", _put("width", 0)),
    "an image of negative height": ("images", _put("height", -64)),
    "an image wider than its file": ("images", _put("width", 640)),
    "an image that is not there": ("images", _put("file_name", "nosuch.jpg")),
    "an image whose name is empty": ("images", _put("file_name", "")),
    "an image named by a million letters": ("images", _put("file_name", "x" * 10**6 + ".jpg")),
    "an image named by a NUL": ("images", _put("file_name", "a\0b.jpg")),
    "an image that is a folder": ("images", _put("file_name", ".")),
    "an image that is a device": ("images", _put("file_name", "/dev/zero")),
    "an image that is a lone surrogate": ("images", _put("file_name", "\ud800.jpg")),
    "a category of two ids": (
        "categories",
        lambda random, content, entry: content["categories"].append({**entry, "id": 77}),
    ),
}


def _anywhere(materials: Materials, random: Random, folder: Path) -> Case:
    file, text = _read(materials.copy_of(materials.dataset, folder))
    what, content = mutations.mutated(random, json.loads(text))
    file.write_text(json.dumps(content))
    return Case(what, _command(random, file)[1])


def _some_text(random: Random, text: str, swaps: dict[str, tuple[str, str]]) -> tuple[str, bytes, bool]:
    """Return what was done to a text file, the result, and whether it is plainly wrong: a swap, or bytes."""
    swaps = {what: swap for what, swap in swaps.items() if swap[0] in text}
    if swaps and random.random() < 0.7:
        what = random.choice(list(swaps))
        return what, text.replace(*swaps[what], 1).encode("utf-8", "surrogatepass"), True
    what = random.choice(["cut short", "chance bytes", "bits flipped", "in UTF-16", "empty", "NULs"])
    whole = text.encode()
    content = {
        "cut short": mutations.cut(random, whole),
        "chance bytes": random.randbytes(200),
        "bits flipped": mutations.flipped(random, whole, 3),
        "in UTF-16": text.encode("utf-16"),
        "empty": b"",
        "NULs": bytes(100),
    }[what]
    return what, content, what in ("chance bytes", "NULs")


def _data_command(random: Random, data: Path, *options: object) -> tuple[object, ...]:
    return random.choice(
        [
            ("data", "check", data, *options),
            ("analyze", "dataset", data, *options),
            ("data", "convert", data, "out", "--to", random.choice(["coco", "yolo"]), "--images", "link", *options),
        ]
    )


def _yolo(materials: Materials, random: Random, folder: Path) -> Case:
    data = materials.copy_of(materials.layout("yolo"), folder)
    if random.random() < 0.5:
        file = data / "data.yaml"
        swaps = {
            "no names": ("names:", "labels:"),
            "names that are a text": ("names: [", "names: x # ["),
            "names that are null": ("names: [", "names: null # ["),
            "another number of classes": ("nc: ", "nc: 1"),
            "a train that is not there": ("images/train", "nowhere"),
            "a train that is a number": ("train: images/train", "train: 12"),
            "a train that is an object": ("train: images/train", "train: {a: 1}"),
            "a train of a NUL": ("train: images/train", 'train: "a\\0b"'),
            "a train that is a device": ("train: images/train", "train: /dev/zero"),
            "a train of lists": ("train: images/train", "train: [[1], [2]]"),
            "a tag that makes objects": ("names:", "x: !!python/object/apply:os.system ['touch code-ran']\nnames:"),
            "aliases without end": ("names:", f"{_LAUGHS}\nnames:"),
            "names by a dict with other keys": ("names: [", "names: {5: a} # ["),
            "nested without end": ("names:", f"x: {'[' * 5000}\nnames:"),
            "a tab": ("nc:", "\tnc:"),
            "another date": ("nc:", "y: 2001-99-99\nnc:"),
        }
    else:
        file = random.choice(sorted((data / "labels/train").glob("*.txt")))
        file.write_text(file.read_text() or "0 0.5 0.5 0.5 0.5")
        first = file.read_text().split()[0]
        swaps = {
            f"a class of {value}": (f"{first} ", f"{value} ")
            for value in ("99", "-1", "1.5", "x", "nan", "inf", "1e400", "9" * 400)
        }
        swaps |= {f"a coordinate of {value}": (" 0.", f" {value} 0.") for value in ("nan", "inf", "-inf", "x", "1e30")}
        swaps |= {"a coordinate in pixels": (" 0.", " 30."), "a comma": (" ", ",")}
    what, content, wrong = _some_text(random, file.read_text(), swaps)
    file.write_bytes(content)
    return Case(
        f"{file.name}: {what}",
        _data_command(random, data),
        wrong and what not in _HARMLESS and not what.startswith("a train"),
    )


_HARMLESS = (
    "aliases without end",
    "names by a dict with other keys",
    "another number of classes",
    "no name",
    "a name that is not listed",
)
_LAUGHS = "a: &a [x, x]\n" + "\n".join(
    f"b{i}: &b{i} [*{'a' if not i else f'b{i - 1}'}, *{'a' if not i else f'b{i - 1}'}]" for i in range(40)
)


def _voc(materials: Materials, random: Random, folder: Path) -> Case:
    data = materials.copy_of(materials.layout("voc"), folder)
    xmls = [xml for xml in sorted((data / "Annotations").glob("train*.xml")) if "<object>" in xml.read_text()]
    file = random.choice([*xmls, data / "ImageSets/Main/train.txt"])
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha" * 10}">' for i in range(12))
    swaps = {
        "no name": ("<name>", "<label>x</label><name hidden='1'>"),
        "a name that is empty": ("<name>", "<name></name><name>"),
        "no box": ("<bndbox>", "<box>x</box><bndbox2>"),
        "no xmin": ("<xmin>", "<left>"),
        "an xmin of NaN": ("<xmin>", "<xmin>nan</xmin><xmin>"),
        "an xmin of infinity": ("<xmin>", "<xmin>inf</xmin><xmin>"),
        "an xmin of 1e300": ("<xmin>", "<xmin>1e300</xmin><xmin>"),
        "an xmin that is a text": ("<xmin>", "<xmin>left</xmin><xmin>"),
        "a tag that is not closed": ("</annotation>", ""),
        "entities without end": ("<annotation>", f"<!DOCTYPE x [{laughs}]><annotation><x>&l11;</x>"),
        "an entity that is a file": (
            "<annotation>",
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation><x>&f;</x>',
        ),
        "a width of NaN": ("<width>", "<width>nan</width><width>"),
        "a width of -5": ("<width>", "<width>-5</width><width>"),
        "a width of 400 digits": ("<width>", f"<width>{'9' * 400}</width><width>"),
        "a name that is not listed": ("train-", "nosuch-"),
    }
    what, content, wrong = _some_text(random, file.read_text(), swaps)
    file.write_bytes(content)
    wrong = wrong and file.suffix == ".xml" and "width" not in what and what not in _HARMLESS
    return Case(f"{file.name}: {what}", _data_command(random, data), wrong)


def _odgt(materials: Materials, random: Random, folder: Path) -> Case:
    data = materials.copy_of(materials.layout("crowdhuman"), folder)
    file = data / "annotation_train.odgt"
    arguments = ("data", "crowdhuman", data)
    lines = file.read_text().splitlines()
    if random.random() < 0.3:
        what, content = mutations.broken_json(random, lines[0])
        file.write_bytes(content + b"\n" + "\n".join(lines[1:]).encode())
        harmless = ("empty", "blank")
        return Case(f"a line of the odgt {what}", arguments, what not in harmless)
    if random.random() < 0.3:
        archive = data / "CrowdHuman_train01.zip"
        next((data / "Images").glob("train*")).unlink()
        archive.write_bytes(random.choice([b"", b"PK\x03\x04" + random.randbytes(200), random.randbytes(300)]))
        return Case("an archive that is none", arguments, wrong=True)
    what, content = mutations.mutated(random, json.loads(lines[0]))
    file.write_text("\n".join([json.dumps(content), *lines[1:]]))
    return Case(f"a line of the odgt: {what}", arguments)


def _other_coco(materials: Materials, random: Random, folder: Path) -> Case:
    name = random.choice(["roboflow", "single"])
    data = materials.copy_of(materials.layout(name), folder)
    file = data / {"roboflow": "train/_annotations.coco.json", "single": "annotations.json"}[name]
    options = ("--split-by", "80:20") if name == "single" else ()
    text = file.read_text()
    if random.random() < 0.5:
        what, content = mutations.broken_json(random, text)
        file.write_bytes(content)
        return Case(f"{file.name} {what}", _data_command(random, data, *options), wrong=True)
    what, changed = mutations.mutated(random, json.loads(text))
    file.write_text(json.dumps(changed))
    return Case(f"{file.name}: {what}", _data_command(random, data, *options))
