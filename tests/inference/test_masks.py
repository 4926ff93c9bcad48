import numpy as np

from rgacli.inference.masks import paste_masks


def test_a_mask_fills_its_box_from_the_threshold_on():
    probabilities = np.full((2, 28, 28), 0.4, np.float32)
    probabilities[0, :, 14:] = 0.6  # the right half
    boxes = np.array([[10, 20, 30, 40], [0, 0, 5, 5]], np.float32)
    masks = paste_masks(probabilities, boxes, (50, 60), 0.5)
    assert (masks.shape, masks.dtype) == ((2, 50, 60), bool)
    expected = np.zeros((50, 60), bool)
    expected[20:40, 20:30] = True
    assert (masks[0] ^ expected).sum() <= 20  # a column of the border at most
    assert not masks[1].any()
    assert paste_masks(probabilities, boxes, (50, 60), 0.3)[1, :4, :4].all()


def test_no_detections_have_no_masks():
    assert paste_masks(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), (50, 60), 0.5).shape == (
        0,
        50,
        60,
    )
