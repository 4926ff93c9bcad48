import numpy as np
import pytest
from mmcv.image import imrescale

from rgacli.compat.mmdet_fixes import scale_size


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [((640, 480), 0.25, (160, 120)), ((3, 5), (2.0, 0.5), (6, 3)), ((1, 2000), 0.08, (1, 160)), ((9, 9), 1e-9, (1, 1))],
)
def test_a_side_keeps_a_pixel(size, scale, expected):
    assert scale_size(size, scale) == expected


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_a_thin_image_can_be_resized(backend):
    image, factor = imrescale(np.zeros((1, 2000, 3), np.uint8), (160, 128), return_scale=True, backend=backend)
    assert (image.shape, factor) == ((1, 160, 3), 0.08)
