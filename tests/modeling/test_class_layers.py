import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import nn

from rgacli.modeling.class_layers import carry_rows, has_rows_by_class, is_class_layer

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)
LAYERS = {"fc_cls": (1, 1), "fc_reg": (4, 0), "conv_logits": (1, 0)}


@given(NAMES, NAMES, st.sampled_from(sorted(LAYERS)))
def test_every_class_keeps_its_own_rows_and_the_others_start_anew(old, new, layer):
    each, background = LAYERS[layer]
    trained = torch.arange(len(old) * each + background) + 100.0
    fresh = -torch.arange(len(new) * each + background) - 1.0
    rows = carry_rows(f"{layer}.bias", trained, fresh, old, new)
    for index, name in enumerate(new):
        own = rows[index * each : (index + 1) * each].tolist()
        if name in old:
            assert own == [100 + old.index(name) * each + i for i in range(each)]
        else:
            assert own == fresh[index * each : (index + 1) * each].tolist()
    if background:
        assert rows[-1] == trained[-1]


def test_a_class_agnostic_regressor_is_taken_whole():
    trained, fresh = torch.ones(4, 8), torch.zeros(4, 8)
    assert carry_rows("fc_reg.weight", trained, fresh, tuple("abc"), ("x", "y")) is trained


def test_a_regressor_by_class_does_not_become_class_agnostic():
    trained, fresh = torch.ones(12, 8), torch.zeros(4, 8)
    assert carry_rows("fc_reg.weight", trained, fresh, tuple("abc"), ("x", "y")) is fresh


@pytest.mark.parametrize("old", [("person",), None])
def test_a_class_agnostic_regressor_is_taken_whole_for_one_class_too(old):
    trained, fresh = torch.ones(4, 8), torch.zeros(4, 8)
    arguments = "fc_reg.weight", trained, fresh, old, ("pedestrian",)
    assert carry_rows(*arguments, by_class=False) is trained
    assert torch.equal(carry_rows(*arguments), fresh)


def test_a_head_tells_whether_its_layers_are_class_agnostic():
    head = BBoxHead(num_classes=1, reg_class_agnostic=True)
    mask = FCNMaskHead(num_convs=1, num_classes=1, class_agnostic=True)
    model = nn.ModuleDict({"agnostic": head, "by_class": BBoxHead(num_classes=1), "mask": mask})
    names = [name for name in model.state_dict() if is_class_layer(name)]
    assert [name for name in names if not has_rows_by_class(name, model)] == [
        "agnostic.fc_reg.weight",
        "agnostic.fc_reg.bias",
        "mask.conv_logits.weight",
        "mask.conv_logits.bias",
    ]
    assert len(names) == 10
    assert not has_rows_by_class("fc_reg.bias", head)


def test_a_classifier_with_rows_of_its_own_kind_is_taken_where_it_fits():
    seesaw = torch.ones(5, 8)  # 3 classes and two rows for the objectness
    assert carry_rows("fc_cls.weight", seesaw, torch.zeros(5, 8), tuple("abc"), tuple("abx")) is seesaw
    fresh = torch.zeros(4, 8)
    assert carry_rows("fc_cls.weight", seesaw, fresh, tuple("abc"), ("x", "y")) is fresh


def test_of_unknown_classes_the_background_alone_is_kept():
    rows = carry_rows("fc_cls.bias", torch.ones(4), torch.zeros(3), None, ("x", "y"))
    assert rows.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "by_class"),
    [("roi_head.bbox_head.0.fc_cls.weight", True), ("fc_reg.bias", True), ("shared_fcs.0.weight", False), ("x", False)],
)
def test_class_layers_are_known_by_their_names(name, by_class):
    assert is_class_layer(name) == by_class
