"""Small datasets on disk, for tests."""

import json
from pathlib import Path

from PIL import Image

SHARED_DATA = Path(__file__).parents[3] / "shared/data"
MALFORMED_BOXES = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, None], [1, 2, "3", 4], [1, 2, float("nan"), 4]]


def content(images=1, category_names=("cat", "dog"), box=(4, 4, 10, 10)):
    """A COCO dict of 40x30 images with one box each, of the first category."""
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 40, "height": 30} for i in range(1, images + 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": list(box), "area": 100.0, "iscrowd": 0}
            for i in range(1, images + 1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(category_names, start=1)],
    }


def write_split(root, annotations="annotations/train.json", images="images", value=None):
    """Writes `value` (default: `content()`) and the images that it lists."""
    value = content() if value is None else value
    path = root / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    (root / images).mkdir(parents=True, exist_ok=True)
    for image in value["images"]:
        Image.effect_noise((40, 30), 50).convert("RGB").save(root / images / image["file_name"])
    return path
