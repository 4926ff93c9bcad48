import pytest

from rgacli.errors import UsageError
from rgacli.modeling.freezing import set_frozen_stages
from tests.support import tiny


@pytest.mark.parametrize("stages", [0, 2, 4])
def test_the_stem_and_the_first_stages_get_no_gradient(stages):
    cfg = tiny.tiny_config()
    cfg.weights = "trained.pth"
    set_frozen_stages(cfg, stages)
    backbone = tiny.build(cfg.model).backbone
    frozen = {name.split(".")[0] for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1", "bn1", *(f"layer{stage}" for stage in range(1, stages + 1))}


def test_by_keywords_that_a_constructor_hands_on():
    cfg = tiny.tiny_config()
    cfg.model.backbone = dict(type="ResNeXt", depth=50, init_cfg=dict(type="Pretrained"))
    set_frozen_stages(cfg, 1)
    assert cfg.model.backbone.frozen_stages == 1


@pytest.mark.parametrize(
    ("backbone", "stages", "message"),
    [
        (dict(type="ResNet", depth=18), 5, "ResNet has 4 stages"),
        (dict(type="SwinTransformer", depths=(2, 2)), 3, "SwinTransformer has 2 stages"),
        (dict(type="Darknet"), 9, "Darknet has 4 stages"),
        (dict(type="HRNet"), 1, "HRNet has no stages that can be frozen"),
        (dict(type="Nonesuch"), 1, "Nonesuch has no stages"),
    ],
)
def test_what_cannot_be_frozen_is_refused(backbone, stages, message):
    cfg = tiny.tiny_config()
    cfg.model.backbone = backbone
    with pytest.raises(UsageError, match=message):
        set_frozen_stages(cfg, stages)


def test_a_backbone_that_starts_from_nothing_is_not_frozen():
    with pytest.raises(UsageError, match="starts from nothing"):
        set_frozen_stages(tiny.tiny_config(), 1)
