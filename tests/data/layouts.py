"""The same dataset in every layout, written by other tools' code than ours where there is one."""

import json
import os
from pathlib import Path

import hotcoco

LAYOUTS = ("coco", "ours", "roboflow", "yolo", "voc")
ROBOFLOW_FOLDERS = {"train": "train", "val": "valid", "test": "test"}


def write_layout(layout, root, contents, images):
    """Writes a dataset.

    Args:
        layout: Of LAYOUTS.
        root: A new folder.
        contents: Split -> COCO annotations.
        images: Folder that all the file names are relative to; the images are linked to.
    """
    globals()[f"_{layout}"](Path(root), contents, Path(images))
    return Path(root)


def _coco(root, contents, images):
    for split, content in contents.items():
        _link(images, root / f"{split}2017", content)
        _write_json(root / f"annotations/instances_{split}2017.json", content)


def _ours(root, contents, images):
    for split, content in contents.items():
        _link(images, root / "images", content)
        _write_json(root / f"annotations/{split}.json", content)


def _roboflow(root, contents, images):
    grouping = {"id": 0, "name": "cells", "supercategory": "none"}
    for split, content in contents.items():
        folder = root / ROBOFLOW_FOLDERS[split]
        _link(images, folder, content)
        categories = [grouping, *({**each, "supercategory": "cells"} for each in content["categories"])]
        _write_json(folder / "_annotations.coco.json", {**content, "categories": categories})


def _yolo(root, contents, images):
    """By hotcoco: six digits. As Roboflow arranges it."""
    for split, content in contents.items():
        folder = root / ROBOFLOW_FOLDERS[split]
        _link(images, folder / "images", content)
        _load(content).to_yolo(str(folder / "labels"))
        config = (folder / "labels/data.yaml").read_text()
        (folder / "labels/data.yaml").unlink()
    paths = "".join(f"{split}: ../{ROBOFLOW_FOLDERS[split]}/images\n" for split in contents)
    (root / "data.yaml").write_text(paths + config)


def _voc(root, contents, images):
    """By hotcoco, which writes one split at a time."""
    (root / "ImageSets/Main").mkdir(parents=True)
    for split, content in contents.items():
        _link(images, root / "JPEGImages", content)
        _load(content).to_voc(str(root))
        names = [Path(image["file_name"]).stem for image in content["images"]]
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names) + "\n")


def _load(content):
    return hotcoco.COCO(json.loads(json.dumps(content)))


def _write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _link(images, folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    for image in content["images"]:
        os.symlink(images / image["file_name"], folder / image["file_name"])
