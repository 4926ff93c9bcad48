import pytest

from rgacli.analysis import style
from rgacli.analysis.dataset import panels
from rgacli.analysis.dataset.finding import collect
from rgacli.analysis.dataset.ratio_choice import CANDIDATES, Sampling
from rgacli.method import parse_ratios

PAPER = parse_ratios(CANDIDATES)
SAMPLING = Sampling(512, 1000, 10)


def annotated(counts, classes=("cat", "dog"), box=(10, 20), crowds=0):
    """COCO annotations of images of 100x100 px with so many objects, whose classes take turns."""
    boxes = [image for image, number in enumerate(counts) for _ in range(number)]
    entries = [
        {"id": i, "image_id": image, "category_id": i % len(classes), "bbox": [0, 0, *box], "area": box[0] * box[1]}
        for i, image in enumerate(boxes)
    ]
    entries += [{**entries[0], "id": len(entries) + i, "iscrowd": 1} for i in range(crowds)]
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(len(counts))],
        "annotations": entries,
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
    }


def found_in(counts, sampling=SAMPLING, ratios=PAPER, **options):
    return collect(annotated(counts, **options), ratios, sampling, dataset="pets", split="train")


def shown(finding):
    return {table.title.split(":")[-1].strip(): table.rows for table in finding.tables()}


def test_counts_leave_out_crowds_and_keep_images_without_objects():
    about = found_in([0, 1, 3, 8], crowds=5).about
    assert (about["dataset"], about["split"], about["images"], about["objects"]) == ("pets", "train", 4, 12)
    assert about["objects_per_image"] == {"mean": 3, "tenth": 0, "median": 1, "ninth": 8, "most": 8}
    assert about["images_by_objects"] == {"0": 1, "1-3": 2, "4-7": 0, "8+": 1}
    assert [each["objects"] for each in about["objects_by_class"]] == [6, 6]


@pytest.mark.parametrize(
    ("box", "size"), [((31, 33), "small"), ((32, 32), "medium"), ((95, 97), "medium"), ((96, 96), "large")]
)
def test_sizes_are_cocos(box, size):
    about = found_in([2], box=box).about
    assert {name for name, number in about["objects_by_size"].items() if number} == {size}
    assert about["median_share_of_image"] == pytest.approx(box[0] * box[1] / 100**2)


def test_expected_positives_are_a_mean_over_the_images_that_have_objects():
    rows = {row.ratio: row for row in found_in([0, 0, 2, 30]).rows}
    # Late 20 and 300, early 2.8 and 42, of quotas of 256 and 51.
    assert (rows["1:1"].late, rows["1:1"].filled) == ((20 + 256) / 2, 0.5)
    assert (rows["1:9"].late, rows["1:9"].filled) == ((20 + 51) / 2, 0.5)
    assert rows["1:1"].early == pytest.approx((2.8 + 42) / 2) == rows["1:9"].early
    assert {name for name, row in rows.items() if row.chosen} == {"1:1", "1:9"}


def test_the_conclusion_recommends_with_its_reasons():
    text = found_in([2, 2, 20, 20]).conclusion()
    assert (
        "sparsest tenth has up to 2, late in training about 20 positives, the most crowded 20 and more, about 200"
        in text
    )
    assert "quota of 51 (1:9), the latter into one of 256 (1:1): try the ratios 1:1 and 1:9" in text
    assert "λ0 = 7" in text
    assert text.endswith("two heads at 1:1 did better than 1:1 and 1:9. Here it asks for the paper's own ratios")
    assert "the latter not even into one of 256" in found_in([2, 2, 90, 90]).conclusion()


def test_images_alike_leave_prm_little_to_balance():
    text = found_in([10] * 9).conclusion()
    assert "Both ask for 1:3 (quota 128)" in text
    assert text.endswith("The paper's 1:1 with 1:9, trained beside it, tells what it is worth here")


def test_tables_compare_with_the_references_and_name_the_most_frequent_classes():
    classes = [f"kind {i}" for i in range(1200)]
    tables = shown(found_in([3, 30], classes=classes))
    assert [row["name"] for row in tables["objects per image"]] == [
        "this, train",
        "COCO, 256 images",
        "CrowdHuman train",
    ]
    (title,) = (title for title in tables if title.startswith("objects by class"))
    assert "10 of 1200; 1167 have none; the largest is 1 times the smallest" in title
    assert len(tables[title]) == 10


def test_what_the_panels_show_adds_up():
    finding = found_in([0, 3, 3, 400], classes=[f"kind {i}" for i in range(50)])
    points = finding.points()
    for panel, series in (("objects per image, % of images", "this dataset"), ("objects per image, % of images", None)):
        series = series or "COCO, 256 images"
        assert sum(p["value"] for p in points if (p["panel"], p["series"]) == (panel, series)) == pytest.approx(100)
    by_share = [p["value"] for p in points if p["panel"].startswith("share of the image")]
    assert sum(by_share) == pytest.approx(100)
    assert sum(p["value"] for p in points if p["panel"].startswith("class")) == 406
    assert len({tuple(p) for p in points}) == 1


@pytest.mark.parametrize("box", [(0, 0), (300, 300)])
def test_boxes_that_are_empty_or_larger_than_their_image_are_drawn(box):
    values = [p["value"] for p in panels.points(found_in([1], box=box)) if p["series"] in ("small", "large")]
    assert sum(values) == pytest.approx(100)


def test_names_are_drawn_as_they_are_and_ratios_to_try_stand_out():
    with style.using("dark"):
        figure = found_in([1, 1, 90], classes=("$a_b$ <i>", "x" * 80)).draw()
        figure.canvas.draw()
    _, _, classes, expected = figure.axes
    first, second = classes.get_yticklabels()
    assert (first.get_text(), first.get_parse_math()) == ("$a_b$ <i>", False)
    assert len(second.get_text()) <= 30
    bold = [tick.get_text() for tick in expected.get_xticklabels() if tick.get_fontweight() == "bold"]
    assert bold == ["1:1\n(to try)", "1:9\n(to try)"]
    assert expected.texts[0].get_text() == "36 %"  # of a quota of 256, with 10, 10 and 256 positives
