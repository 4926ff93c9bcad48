import mmcv
import numpy as np
import pytest
from PIL import ExifTags, Image

from rgacli.data.images import upright_size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_the_size_is_that_of_what_mmcv_loads(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    with Image.open(path) as image:
        assert upright_size(image) == mmcv.imread(path).shape[1::-1]


def test_a_size_without_exif_data_is_as_it_is(tmp_path):
    assert upright_size(Image.fromarray(np.zeros((30, 40, 3), np.uint8))) == (40, 30)
