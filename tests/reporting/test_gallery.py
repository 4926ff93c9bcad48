import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from rgacli.data.annotations import gt_counts
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign
from rgacli.evaluation.tide import error_counts
from rgacli.reporting import gallery
from rgacli.reporting.images import small_copy
from tests.evaluation.coco_samples import noisy_detections, random_annotations

TRUTH = random_annotations(0)
RESULTS = {head: noisy_detections(TRUTH, seed) for seed, head in enumerate(("1:1", "1:9", "ensemble"))}
IDS = [image["id"] for image in TRUTH["images"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for image in TRUTH["images"]:
        path = root / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((image["height"], image["width"], 3), np.uint8)).save(path)
    return root


def collected(folder, most=1000, disagreement=None):
    return gallery.collect(TRUTH, RESULTS, folder, DEFAULT_BINS, disagreement or {}, most=most, score=0.3)


def test_a_cell_leads_to_its_worst_images(folder):
    found = collected(folder)
    counts = error_counts(TRUTH, RESULTS, score=0.3)
    members = assign(gt_counts(TRUTH), DEFAULT_BINS)
    assert found.cells
    for key, images in found.cells.items():
        label, head, error = key.split("|")
        numbers = {image: counts[head][image][error] for image in members[label]}
        assert dict(images).items() <= numbers.items()
        worst = sorted((number for number in numbers.values() if number), reverse=True)
        assert [number for _, number in images] == worst[: len(images)]
        assert {image for image, _ in images} <= found.images.keys()


def test_numbers_are_errors_per_hundred_objects(folder):
    errors = collected(folder).groups[0]
    counts = error_counts(TRUTH, RESULTS, score=0.3)
    objects, members = gt_counts(TRUTH), assign(gt_counts(TRUTH), DEFAULT_BINS)
    assert {row.names[0] for row in errors.cells} == {label for label, images in members.items() if images}
    for row in errors.cells:
        for cell in row.cells:
            label, head, error = cell.key.split("|")
            number = sum(counts[head][image][error] for image in members[label])
            assert cell.text == f"{100 * number / sum(objects[image] for image in members[label]):.1f}"
            assert 0 <= cell.share <= 1


def test_images_of_disagreement_come_first_and_no_more_than_asked_for(folder):
    disagreement = {image: rank / 100 for rank, image in enumerate(IDS)}
    found = collected(folder, most=4, disagreement=disagreement)
    assert [group.title for group in found.groups if not (group.images or group.cells)] == []
    assert list(found.images) == IDS[:-5:-1]
    [group] = [group for group in found.groups if "disagree" in group.title]
    assert list(group.images) == IDS[:-5:-1]
    assert group.notes[IDS[-1]] == f"mean difference {disagreement[IDS[-1]]:.3f}"
    assert all(image in found.images for images in found.cells.values() for image, _ in images)


def test_content_has_each_object_and_detection_with_its_fate(folder):
    found = collected(folder)
    content = json.loads(json.dumps(found.content()))
    for key, image in content["images"].items():
        own = [entry for entry in TRUTH["annotations"] if entry["image_id"] == int(key) and not entry.get("iscrowd")]
        assert sorted(drawn[:4] for drawn in image["objects"]) == [
            pytest.approx(box, abs=0.06) for box in sorted(entry["bbox"] for entry in own)
        ]
        for head, drawn in zip(content["heads"], image["found"], strict=True):
            scores = [d["score"] for d in RESULTS[head] if d["image_id"] == int(key) and d["score"] >= 0.3]
            assert len(drawn) <= len(scores)  # less those in crowds
            assert all(box[6] in ("", *content["errors"]) for box in drawn)
    assert any(missed for image in content["images"].values() for *_, missed in image["objects"])


def test_suspected_annotations_are_told_and_marked(folder):
    [group] = [group for group in collected(folder).groups if group.title.startswith("Check")]
    assert group.images
    for image in group.images:
        assert "annotated" in group.notes[image]
        assert len(group.marked[image]) == group.notes[image].count("annotated")


@pytest.mark.parametrize(("size", "kept"), [((1300, 650), (640, 320)), ((30, 50), (30, 50))])
def test_a_copy_is_small_and_upright(tmp_path, size, kept):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("L", size[::-1]).save(tmp_path / "a.png", exif=exif)
    source, own = small_copy(tmp_path / "a.png")
    assert own == size
    head, _, content = source.partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == kept


def test_of_sixteen_bits_a_copy_shows_the_upper_ones(tmp_path):
    Image.fromarray(np.full((8, 8), 100 * 256, np.uint16)).save(tmp_path / "a.png")
    source, _ = small_copy(tmp_path / "a.png")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        assert image.getpixel((4, 4)) == pytest.approx((100, 100, 100), abs=2)


def test_an_image_that_cannot_be_read_costs_no_more_than_its_picture(folder, tmp_path):
    found = collected(tmp_path, most=2)
    for path in (image.path for image in found.images.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    whole = collected(folder, most=2).content()["images"]
    for key, image in found.content()["images"].items():
        assert image["name"] == f"{whole[key]['name']} (cannot be read)"
        assert image["objects"] == whole[key]["objects"]
        assert all(box[0] + box[2] <= image["width"] + 0.1 for own in image["found"] for box in own)
