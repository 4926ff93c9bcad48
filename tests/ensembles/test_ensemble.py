from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from rgacli.ensembles import ensemble
from rgacli.ensembles.ensemble import Detected, Ensemble, home_of, nms_of, of_logits
from rgacli.errors import UsageError
from rgacli.method import ENSEMBLING_METHODS

BOX = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}


class Members(Ensemble):
    """Of which only some methods can be had."""

    methods = ("average-probs", "joint-nms", "wbf", "oracle")
    obstacles: ClassVar = {"ensemble": "no logits", "average-probs": "no logits", "wbf": "no boxes"}

    def obstacle(self, method):
        return self.obstacles.get(method)

    def detect(self, methods, bins, progress=None):
        return Detected({}, {})


def test_all_that_can_be_had_is_compared_and_what_is_left_out_told(monkeypatch):
    told = []
    monkeypatch.setattr(ensemble, "tell", told.append)
    monkeypatch.setattr(Members, "obstacles", {**Members.obstacles, "oracle": "no logits"})
    assert Members().choose() == ["joint-nms"]
    assert told == ["without average-probs, oracle: no logits", "without wbf: no boxes"]


def test_methods_asked_for_come_in_the_order_of_all_and_what_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setattr(ensemble, "tell", pytest.fail)
    assert Members().choose(["oracle", "dispatch", "joint-nms"]) == ["joint-nms", "dispatch", "oracle"]
    with pytest.raises(UsageError, match=r"^method=ensemble: no logits\.$"):
        Members().choose(["oracle", "ensemble"])


def test_detections_are_fused_as_the_detectors_nms_would():
    members = Members()
    members.iou, members.limit = 0.2, 1
    near = {**BOX, "bbox": [4, 0, 9, 9], "score": 0.4}  # IoU 0.38
    fusions = members.fusions(["joint-nms", "oracle"])
    assert list(fusions) == ["joint-nms"]
    assert list(fusions["joint-nms"]([[BOX], [near, {**BOX, "category_id": 2, "score": 0.3}]])) == [BOX]
    members.iou, members.limit = 0.5, None
    assert len(members.fusions(["joint-nms"])["joint-nms"]([[BOX], [near]])) == 2


def test_the_ensemble_is_where_logits_are():
    assert of_logits(ENSEMBLING_METHODS) == ["average-probs", "average-boxes"]
    assert of_logits(["dispatch", "wbf"]) == []


def test_what_is_made_of_several_lies_under_their_names():
    assert home_of(["mine", "./runs/theirs"]) == Path("ensembles/mine+runs_theirs")


@given(st.lists(st.text("aé漢", min_size=70), min_size=2, max_size=4))
def test_names_too_long_for_a_folder_are_shortened_and_stay_apart(names):
    home, other = home_of(names), home_of([*names[:-1], f"{names[-1]}x"])
    assert home.parent == other.parent == Path("ensembles")
    assert home != other
    assert max(len(path.name.encode()) for path in (home, other)) <= 200
    assert home.name.startswith(names[0][:40])


def test_nms_is_the_detectors_own_as_far_as_it_is_a_two_stage_one():
    rcnn = dict(nms=dict(type="nms", iou_threshold=0.7), max_per_img=300)
    assert nms_of(Config(dict(model=dict(test_cfg=dict(rcnn=rcnn))))) == (0.7, 300)
    assert nms_of(Config(dict(model=dict(test_cfg=dict(rcnn=dict(max_per_img=-1)))))) == (0.5, None)
    assert nms_of(Config(dict(model=dict(test_cfg=dict(max_per_img=9))))) == (0.5, None)
    assert nms_of(Config(dict(model=dict(test_cfg=None)))) == (0.5, None)
