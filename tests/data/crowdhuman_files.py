"""CrowdHuman's official files, with crowds that the embedded dataset's generator draws in the place of people."""

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from rgacli.data.scenes import SceneObject, draw_scene


def write_crowdhuman(root: Path, sizes: dict[str, int], image_size=(96, 72), max_objects=25) -> None:
    """annotation_<split>.odgt and Images/. Every image has a box to ignore, and a person that is not to count."""
    (root / "Images").mkdir(parents=True)
    for number, (split, images) in enumerate(sizes.items()):
        records = []
        for index in range(images):
            pixels, people = draw_scene(np.random.default_rng([number, index]), image_size, max_objects)
            records.append({"ID": f"{number}{index},{split}", "gtboxes": [*map(as_person, people), *to_ignore(people)]})
            Image.fromarray(pixels).save(root / f"Images/{records[-1]['ID']}.jpg")
        write_odgt(root / f"annotation_{split}.odgt", records)


def write_odgt(path: Path, records: list[dict]) -> None:
    path.write_text("\n".join(map(json.dumps, records)) + "\n")


def as_person(thing: SceneObject) -> dict:
    """Someone whose lower half is hidden, behind others or by the image's border."""
    x, y, w, h = thing.bbox
    return person([x, y, w, 2 * h], vbox=[x, y, w, h], hbox=[x, y, w, h / 3])


def to_ignore(people: list[SceneObject]) -> list[dict]:
    """A crowd in the corner, and a reflection of the first person."""
    reflection = as_person(people[0])
    return [person([0, 0, 12, 10], tag="mask", extra={"ignore": 1}), {**reflection, "extra": {"ignore": 1}}]


def person(fbox: list[float], *, vbox=None, hbox=None, tag="person", extra=None) -> dict:
    """A box of a record, with the keys that official files have."""
    box = {"tag": tag, "fbox": fbox, "vbox": vbox or fbox, "hbox": hbox or fbox, "extra": extra or {"occ": 1}}
    return {**box, "head_attr": {"ignore": 0, "occ": 0, "unsure": 0}}


def zip_images(root: Path, archive: str, pattern: str = "*.jpg", folder: str = "Images/") -> None:
    """Moves images from Images/ into an archive, under the name that they have in the official ones."""
    with zipfile.ZipFile(root / archive, "w") as content:
        for path in sorted((root / "Images").glob(pattern)):
            content.write(path, f"{folder}{path.name}")
            path.unlink()
