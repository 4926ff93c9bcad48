import numpy as np
import pytest
from PIL import ImageColor

from rgacli.analysis import pictures
from rgacli.analysis.style import PALETTE
from rgacli.evaluation.detections import Detections

COLORS = [ImageColor.getrgb(color)[::-1] for color in PALETTE]  # BGR
GREY = np.full((480, 640, 3), 128, np.uint8)


def found(*objects, masks=None):
    """Objects are (label, score, x1, y1, x2, y2)."""
    table = np.array(objects, np.float64).reshape(-1, 6)
    names = tuple("abcdefghij")
    return Detections(table[:, 2:].astype(np.float32), table[:, 1], table[:, 0].astype(int), names, masks)


def drawn(picture, background=GREY):
    """(H, W) bool: where the picture differs from the image."""
    return (picture != background).any(axis=2)


def test_a_box_has_the_color_of_its_class_and_lies_where_the_object_is():
    picture = pictures.annotate(GREY, found((1, 0.9, 100, 200, 300, 400)))
    for y, x in ((300, 100), (300, 300), (400, 200)):
        assert tuple(picture[y, x]) == COLORS[1]
    assert not drawn(picture)[210:390, 110:290].any()
    assert not drawn(picture)[:150].any()
    assert (GREY == 128).all()  # the image itself is left alone


def test_classes_beyond_the_palette_begin_it_anew():
    assert tuple(pictures.annotate(GREY, found((8, 0.9, 100, 200, 300, 400)))[300, 100]) == COLORS[1]


def test_lines_grow_with_the_image_and_small_images_are_enlarged():
    widths = []
    for size in (640, 2560):
        image = np.full((size, size, 3), 128, np.uint8)
        picture = pictures.annotate(image, found((0, 0.9, size // 4, size // 4, size // 2, size // 2)))
        assert picture.shape == image.shape
        widths.append(drawn(picture, image)[size * 3 // 8, : size * 3 // 8].sum())
    assert widths[1] > 3 * widths[0] > 0
    small = pictures.annotate(np.full((120, 160, 3), 128, np.uint8), found((0, 0.9, 40, 50, 80, 100)))
    assert small.shape == (480, 640, 3)
    assert tuple(small[300, 160]) == COLORS[0]


def test_labels_do_not_cover_each_other():
    near = [(0, 0.9, 200, 200, 400, 400), (1, 0.8, 201, 200, 400, 400), (2, 0.7, 202, 200, 400, 400)]
    picture = pictures.annotate(GREY, found(*near))
    areas = [(picture == color).all(axis=2).sum() for color in COLORS[:3]]
    alone = pictures.annotate(GREY, found((2, 0.7, 202, 200, 400, 400)))
    box = 4 * 200 * 2
    label = (alone == COLORS[2]).all(axis=2).sum() - box
    assert all(area > 0.8 * label for area in areas)


@pytest.mark.parametrize("corner", [(0, 0), (620, 0), (0, 470), (620, 470)])
def test_labels_stay_inside_the_picture(corner):
    x, y = corner
    picture = pictures.annotate(GREY, found((1, 0.5, x, y, x + 20, y + 10)))
    middle = pictures.annotate(GREY, found((1, 0.5, 300, 200, 320, 210)))
    assert drawn(picture).sum() == pytest.approx(drawn(middle).sum(), rel=0.25)


def test_masks_shine_through():
    mask = np.zeros((1, 480, 640), bool)
    mask[0, 250:260, 150:160] = True
    picture = pictures.annotate(GREY, found((1, 0.9, 100, 200, 300, 400), masks=mask))
    assert picture[255, 155] == pytest.approx(0.6 * 128 + 0.4 * np.array(COLORS[1]), abs=1)
    assert not drawn(picture)[262:390, 110:290].any()


def test_nothing_found_is_the_image_itself():
    assert np.array_equal(pictures.annotate(GREY, found()), GREY)
    assert np.array_equal(pictures.annotate(GREY, found((1, 0.9, 300, 300, 300, 300)))[:200], GREY[:200])


def test_what_some_head_lacks_is_disputed():
    prediction = {
        "1:1": found((0, 0.9, 0, 0, 10, 10), (1, 0.8, 50, 50, 60, 60), (0, 0.7, 90, 90, 99, 99)),
        "1:9": found((0, 0.5, 0, 0, 10, 5), (0, 0.8, 50, 50, 60, 60)),
        "ensemble": found((0, 0.9, 0, 0, 10, 10), (1, 0.8, 50, 50, 60, 60)),
    }
    disputed = pictures.find_disputed(prediction)
    assert {head: found.tolist() for head, found in disputed.items()} == {
        "1:1": [False, True, True],  # IoU 0.5 is the same object; another class is not; nor is nothing
        "1:9": [False, True],
        "ensemble": [False, True],
    }


def test_nothing_found_by_one_head_is_disputed_with_all():
    disputed = pictures.find_disputed({"1:1": found(), "1:9": found((0, 0.5, 0, 0, 10, 5))})
    assert (disputed["1:1"].shape, disputed["1:9"].tolist()) == ((0,), [True])


@pytest.mark.parametrize(("heads", "rows", "columns"), [(2, 1, 2), (3, 1, 3), (4, 2, 3), (6, 2, 3)])
def test_each_head_has_a_panel(heads, rows, columns):
    prediction = {str(head): found((head, 0.9, 100, 200, 300, 400)) for head in range(heads)}
    sheet = pictures.side_by_side(GREY, prediction)
    height, width = sheet.shape[0] / rows, sheet.shape[1] / columns
    assert (height, width) == (pytest.approx(480 + 22, abs=6), pytest.approx(640, abs=4))
    for head in range(heads):
        top, left = round(head // columns * height), round(head % columns * width)
        panel = sheet[top : top + 490, left : left + 630]
        colors = {color for color in COLORS if (panel == color).all(axis=2).sum() > 300}
        assert colors == {COLORS[head]}


def test_agreement_is_thin_and_has_no_label():
    same = (0, 0.9, 100, 200, 300, 400)
    prediction = {"1:1": found(same), "1:9": found(same, (1, 0.9, 400, 200, 500, 400))}
    sheet = pictures.side_by_side(GREY, prediction)
    counts = {color: (sheet == color).all(axis=2).sum() for color in COLORS[:2]}
    assert counts[COLORS[0]] == 2 * 4 * 200
    assert counts[COLORS[1]] > 2 * (2 * 200 + 2 * 100)


def truth(*objects):
    """Objects are (label, x1, y1, x2, y2)."""
    return found(*((label, np.nan, *box) for label, *box in objects))


def test_beside_the_truth_stand_out_what_is_missed_and_what_is_wrong():
    right, missed, wrong = (0, 50, 50, 150, 150), (1, 250, 50, 350, 150), (2, 450, 50, 550, 150)
    prediction = {"1:9": found((0, 0.9, *right[1:]), (2, 0.9, *wrong[1:]))}
    sheet = pictures.beside_truth(GREY, truth(right, missed), prediction)
    middle = sheet.shape[1] // 2
    thin = 4 * 100
    counts = [
        [(panel == COLORS[label]).all(axis=2).sum() for label in range(3)]
        for panel in (sheet[:, :middle], sheet[:, middle:])
    ]
    assert counts[0][0] == counts[1][0] == thin
    assert counts[0][1] > 2 * thin
    assert counts[1][2] > 2 * thin
    assert (counts[0][2], counts[1][1]) == (0, 0)


def test_an_object_is_labelled_by_its_class_alone():
    areas = [drawn(pictures.annotate(GREY, found((0, score, 100, 200, 300, 400)))).sum() for score in (np.nan, 0.5)]
    assert areas[0] < areas[1]
