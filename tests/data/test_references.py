import json
from collections import Counter

import pytest

from rgacli.data.annotations import gt_counts
from rgacli.data.references import COCO, CROWDHUMAN
from tests.data.coco_files import SHARED_DATA


def test_the_numbers_of_coco_agree_with_each_other():
    assert (len(COCO.objects), sum(COCO.objects) / len(COCO.objects)) == (COCO.images, COCO.mean)
    assert CROWDHUMAN.objects == []


@pytest.mark.skipif(not (SHARED_DATA / "coco128").exists(), reason="needs the first images of COCO")
def test_the_sample_is_what_the_first_images_of_coco_have():
    files = (SHARED_DATA / "coco128/annotations").glob("instances_*2017.json")
    found = Counter(n for file in files for n in gt_counts(json.loads(file.read_text())).values())
    assert found == COCO.counts
