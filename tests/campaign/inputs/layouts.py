"""A dataset in COCO's layout, written in the others that `data` commands take."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

LAYOUTS = ("yolo", "voc", "roboflow", "single", "crowdhuman")


def write(name: str, dataset: Path, folder: Path) -> None:
    """Write the dataset's first two splits in a layout of LAYOUTS."""
    {"yolo": _yolo, "voc": _voc, "roboflow": _roboflow, "single": _single, "crowdhuman": _crowdhuman}[name](
        dataset, folder
    )


def _read(dataset: Path, split: str) -> tuple[dict[str, Any], dict[int, list[dict[str, Any]]], Path]:
    content = json.loads((dataset / f"annotations/{split}.json").read_text())
    boxes: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for each in content["annotations"]:
        boxes[each["image_id"]].append(each)
    images = next(
        place
        for place in (dataset / "images" / split, dataset / split, dataset / "images", dataset)
        if (place / content["images"][0]["file_name"]).is_file()
    )
    return content, boxes, images


def _place(images: Path, image: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(images / image["file_name"], folder / os.path.basename(image["file_name"])))


def _yolo(dataset: Path, folder: Path) -> None:
    names = []
    for split in ("train", "val"):
        content, boxes, images = _read(dataset, split)
        names = [category["name"] for category in content["categories"]]
        numbers = {category["id"]: number for number, category in enumerate(content["categories"])}
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        for image in content["images"]:
            stem = _place(images, image, folder / "images" / split).stem
            width, height = image["width"], image["height"]
            lines = [
                f"{numbers[each['category_id']]} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}"
                for each in boxes[image["id"]]
                for x, y, w, h in [each["bbox"]]
            ]
            (labels / f"{stem}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnc: {len(names)}\nnames: {names}\n")


def _voc(dataset: Path, folder: Path) -> None:
    (folder / "Annotations").mkdir(parents=True)
    (folder / "ImageSets/Main").mkdir(parents=True)
    for split in ("train", "val"):
        content, boxes, images = _read(dataset, split)
        names = {category["id"]: category["name"] for category in content["categories"]}
        stems = []
        for image in content["images"]:
            placed = folder / "JPEGImages" / f"{split}-{os.path.basename(image['file_name'])}"
            _place(images, image, folder / "JPEGImages").rename(placed)
            stems.append(placed.stem)
            objects = "".join(
                f"<object><name>{names[each['category_id']]}</name><difficult>0</difficult><bndbox><xmin>{int(x) + 1}"
                f"</xmin><ymin>{int(y) + 1}</ymin><xmax>{int(x + w) + 1}</xmax><ymax>{int(y + h) + 1}</ymax></bndbox>"
                "</object>"
                for each in boxes[image["id"]]
                for x, y, w, h in [each["bbox"]]
            )
            size = f"<size><width>{image['width']}</width><height>{image['height']}</height><depth>3</depth></size>"
            text = f"<annotation><filename>{placed.name}</filename>{size}{objects}</annotation>"
            (folder / "Annotations" / f"{placed.stem}.xml").write_text(text)
        (folder / f"ImageSets/Main/{split}.txt").write_text("\n".join(stems) + "\n")


def _roboflow(dataset: Path, folder: Path) -> None:
    for split, place in (("train", "train"), ("val", "valid")):
        content, _, images = _read(dataset, split)
        for image in content["images"]:
            image["file_name"] = _place(images, image, folder / place).name
        (folder / place / "_annotations.coco.json").write_text(json.dumps(content))


def _single(dataset: Path, folder: Path) -> None:
    content, _, images = _read(dataset, "train")
    for image in content["images"]:
        image["file_name"] = _place(images, image, folder / "images").name
    (folder / "annotations.json").write_text(json.dumps(content))


def _crowdhuman(dataset: Path, folder: Path) -> None:
    for split in ("train", "val"):
        content, boxes, images = _read(dataset, split)
        lines = []
        for image in content["images"]:
            placed = _place(images, image, folder / "Images")
            placed.rename(folder / "Images" / f"{split}-{image['id']}.jpg")
            persons = [
                {"tag": "person", "fbox": box, "vbox": box, "hbox": box, "extra": {"ignore": 0}}
                for box in (each["bbox"] for each in boxes[image["id"]])
            ]
            lines.append(json.dumps({"ID": f"{split}-{image['id']}", "gtboxes": persons}))
        (folder / f"annotation_{split}.odgt").write_text("\n".join(lines) + "\n")
