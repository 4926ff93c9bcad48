"""One dataset in every layout is one dataset."""

import json

import numpy as np
import pytest
from PIL import Image

from rgacli.api.data import check_dataset, convert_dataset
from rgacli.data.annotations import load_annotations
from rgacli.data.layout import COCO, ROBOFLOW, VOC, YOLO, recognise
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import parse_bins
from tests.data.coco_files import SHARED_DATA
from tests.data.layouts import LAYOUTS, write_layout

pytestmark = pytest.mark.usefixtures("cache")

NAMES = dict(zip(LAYOUTS, (COCO, COCO, ROBOFLOW, YOLO, VOC), strict=True))


def drawn(folder, seed=0):
    """Three splits of images of many sizes with whole-numbered boxes of two classes; image 0 of each has none."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    contents = {}
    for split in ("train", "val", "test"):
        content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}
        for number in range(4):
            width, height = (int(side) for side in rng.integers(50, 700, 2))
            name = f"{split}_{number}.jpg"
            Image.new("RGB", (width, height)).save(folder / name)
            content["images"].append({"id": number + 1, "file_name": name, "width": width, "height": height})
            for _ in range(5 * number):
                x, y = int(rng.integers(0, width - 1)), int(rng.integers(0, height - 1))
                w, h = int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
                thing = {"image_id": number + 1, "category_id": int(rng.integers(1, 3)), "bbox": [x, y, w, h]}
                content["annotations"].append(
                    {"id": len(content["annotations"]) + 1, **thing, "area": w * h, "iscrowd": 0}
                )
        contents[split] = content
    return contents


def detections(content, seed=0):
    """Objects found a little off, twice or not at all, and where there are none: (file, class, box, score) each."""
    rng = np.random.default_rng(seed)
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    for each in content["annotations"]:
        for _ in range(rng.integers(0, 3)):
            box = np.array(each["bbox"]) + rng.normal(0, 0.08, 4) * np.sqrt(each["area"])
            yield files[each["image_id"]], names[each["category_id"]], box.clip(1).tolist(), rng.random()
    for file in files.values():
        for name in names.values():
            yield file, name, rng.uniform(1, 99, 4).tolist(), rng.random() / 2


def metrics(root, found):
    """All metrics of these detections on the test split, over all images and per bin, to the last digit; AP."""
    content = load_annotations(recognise(root).splits["test"].annotations)
    images = {image["file_name"]: image["id"] for image in content["images"]}
    categories = {category["name"]: category["id"] for category in content["categories"]}
    results = [
        {"image_id": images[file], "category_id": categories[name], "bbox": box, "score": score}
        for file, name, box, score in found
    ]
    evaluation = evaluate(content, results)
    return repr((evaluation.overall, evaluation.by_bin(parse_bins("1-3,4-7,8+")))), evaluation.overall["AP"]


def counts(root):
    result = check_dataset(root)
    return result.layout, {
        name: (report.images, report.objects, report.gt_counts, [(c.name, c.objects) for c in report.categories])
        for name, report in result.splits.items()
    }


def boxes(root):
    """Split -> file, class, box, area of each object."""
    found = {}
    for name, split in recognise(root).splits.items():
        content = load_annotations(split.annotations)
        files = {image["id"]: image["file_name"] for image in content["images"]}
        classes = {category["id"]: category["name"] for category in content["categories"]}
        found[name] = [
            (files[each["image_id"]], classes[each["category_id"]], each["bbox"], each["area"])
            for each in content["annotations"]
        ]
    return found


def require_the_same(contents, images, tmp_path):
    """Holds every layout of a dataset, and what `convert_dataset` makes of each, against the first one's numbers."""
    found = list(detections(contents["test"]))
    roots = {layout: write_layout(layout, tmp_path / layout, contents, images) for layout in LAYOUTS}
    expected = metrics(roots["ours"], found)
    assert 0.1 < expected[1] < 0.9
    _, expected_counts = counts(roots["ours"])
    expected_boxes = boxes(roots["ours"])
    for layout, root in roots.items():
        assert counts(root) == (NAMES[layout], expected_counts)
        assert metrics(root, found) == expected
        assert boxes(root) == expected_boxes
        for to in ("coco", "yolo"):
            result = convert_dataset(root, tmp_path / f"{layout}-{to}", to=to, images="link")
            assert counts(result.dataset)[1] == expected_counts
            assert metrics(result.dataset, found) == expected
            assert boxes(result.dataset) == expected_boxes


def test_a_small_dataset(tmp_path):
    require_the_same(drawn(tmp_path / "drawn"), tmp_path / "drawn", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the shared data sets")
def test_blood_cells(tmp_path):
    root = SHARED_DATA / "bccd"
    contents = {
        split: json.loads((root / f"annotations/{split}.json").read_text()) for split in ("train", "val", "test")
    }
    require_the_same(contents, root / "images", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the shared data sets")
def test_blood_cells_in_one_file(tmp_path):
    """Divided by 60:20:20 here, and in YOLO's format after it."""
    root = SHARED_DATA / "bccd"
    single = tmp_path / "single"
    (single / "images").mkdir(parents=True)
    content = json.loads((root / "annotations/test.json").read_text())
    (single / "annotations.json").write_text(json.dumps(content))
    for image in content["images"]:
        (single / "images" / image["file_name"]).symlink_to(root / "images" / image["file_name"])
    test = load_annotations(recognise(single, split_by="60:20:20").splits["test"].annotations)
    found = list(detections(test))
    roots = [convert_dataset(single, tmp_path / to, to=to, split_by="60:20:20").dataset for to in ("coco", "yolo")]
    assert metrics(roots[0], found) == metrics(roots[1], found)
    assert len(test["images"]) == 14
