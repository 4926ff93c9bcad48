import pytest
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from rgacli.config.files import load_config
from rgacli.config.recipe import add_imports, describe_method, parallel_ratios, require_rpn, set_method, single_ratio
from rgacli.errors import UsageError
from rgacli.method import PRM, SamplingRatio, parse_ratios
from tests.support import tiny

R50 = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
CASCADE = "mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py"
RETINANET = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
DYNAMIC = "mmdet::dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py"
OURS = "GradientAnnealingHook"


def applied(name=R50, **arguments):
    cfg = load_config(name)
    set_method(cfg, **arguments)
    return cfg


def annealing(cfg):
    """The config's one annealing hook."""
    (hook,) = [hook for hook in cfg.custom_hooks if hook.type == OURS]
    return hook


def refusal(function, *arguments, **keywords):
    """The UsageError's one line."""
    with pytest.raises(UsageError) as error:
        function(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        R50,
        "mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py",
        "mmdet::faster_rcnn/faster-rcnn_x101-64x4d_fpn_1x_coco.py",
        "mmdet::faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py",
        "mmdet::faster_rcnn/faster-rcnn_r50_fpn_ohem_1x_coco.py",
        "mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py",
        "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
        "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
        CASCADE,
        "quickstart",
        "faster-rcnn_r18-lite_fpn_rga-prm",
    ],
)
def test_a_two_stage_config_gets_the_papers_method_by_default(name):
    cfg = applied(name)
    roi_head = cfg.model.roi_head
    assert roi_head.type == ("ParallelCascadeRoIHead" if "cascade" in name else "ParallelRoIHead")
    assert (list(roi_head.ratios), roi_head.sampling) == (["1:1", "1:9"], "soft")
    assert (roi_head.head_loss, roi_head.draws) == ("sum", "independent")
    assert annealing(cfg) == dict(type=OURS, lambda0=7.0, anneal="linear")
    assert "rgacli.core" in cfg.custom_imports.imports


def test_a_users_file_is_rewritten_too(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f'_base_ = "{R50}"\nmodel = dict(roi_head=dict(bbox_head=dict(num_classes=4)))\n')
    cfg = applied(str(path))
    assert cfg.model.roi_head.type == "ParallelRoIHead"
    assert cfg.model.roi_head.bbox_head.num_classes == 4


def test_what_is_asked_for_overrides_what_the_config_has():
    cfg = tiny.tiny_config()
    set_method(cfg, lambda0=3, anneal="none", ratios=parse_ratios("1:2,1:2"), sampling="hard")
    assert (cfg.model.roi_head.ratios, cfg.model.roi_head.sampling) == (["1:2", "1:2"], "hard")
    assert annealing(cfg) == dict(type=OURS, lambda0=3.0, anneal="none")
    set_method(cfg, sampling="soft", head_loss="mean", draws="nested")
    assert (cfg.model.roi_head.ratios, cfg.model.roi_head.sampling) == (["1:2", "1:2"], "soft")
    assert (cfg.model.roi_head.head_loss, cfg.model.roi_head.draws) == ("mean", "nested")


def test_what_is_not_asked_for_stays_as_the_config_has_it():
    own = dict(ratios=["1:5"], sampling="soft", head_loss="mean", draws="nested")
    cfg = tiny.tiny_config(**own)
    cfg.custom_hooks = [dict(type=OURS, lambda0=2.0, anneal="none")]
    set_method(cfg)
    assert {key: cfg.model.roi_head[key] for key in own} == own
    assert annealing(cfg) == dict(type=OURS, lambda0=2.0, anneal="none")


def test_other_hooks_and_imports_stay():
    cfg = load_config(R50)
    cfg.custom_hooks = [dict(type="EMAHook")]
    cfg.custom_imports = dict(imports="mmdet.models", allow_failed_imports=True)
    set_method(cfg)
    assert [hook.type for hook in cfg.custom_hooks] == ["EMAHook", OURS]
    assert cfg.custom_imports == dict(imports=["mmdet.models", "rgacli.core"], allow_failed_imports=True)


def test_an_import_is_added_once():
    cfg = Config()
    add_imports(cfg, "a")
    add_imports(cfg, "b", "a")
    assert cfg.custom_imports.imports == ["a", "b"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        dict(lambda0=3, ratios=parse_ratios("1:2,1:3"), sampling="hard", head_loss="mean"),
        dict(head_loss="mean", draws="nested"),
    ],
)
def test_applying_it_twice_is_applying_it_once(arguments):
    cfg = applied(**arguments)
    once = cfg.pretty_text
    set_method(cfg)
    assert cfg.pretty_text == once
    set_method(cfg, **arguments)
    assert cfg.pretty_text == once


def test_a_rewritten_config_is_the_same_after_being_written_and_read():
    cfg = applied(lambda0=5, ratios=parse_ratios("1:1,1:3,1:9"), sampling="hard", head_loss="mean")
    again = Config.fromstring(cfg.pretty_text, ".py")
    assert again.to_dict() == cfg.to_dict()


def test_a_rewritten_config_builds_with_the_configs_own_heads():
    init_default_scope("mmdet")
    cfg = applied(ratios=parse_ratios("1:1,1:3,1:9"))
    roi_head, train_cfg = cfg.model.roi_head, cfg.model.train_cfg
    head = MODELS.build(ConfigDict(roi_head, train_cfg=train_cfg.rcnn, test_cfg=cfg.model.test_cfg.rcnn))
    assert [single.fc_cls.out_features for single in head.bbox_head] == [81, 81, 81]
    assert [sampler.pos_fraction for sampler in head.bbox_samplers] == [0.5, 0.25, 0.1]
    assert {sampler.num for sampler in head.bbox_samplers} == {512}
    assert {type(sampler).__name__ for sampler in head.bbox_samplers} == {"RandomSampler"}


def test_a_rewritten_config_builds_with_what_was_asked_for():
    init_default_scope("mmdet")
    cfg = applied(ratios=parse_ratios("1:1,1:3"), head_loss="mean", draws="nested")
    train_cfg, test_cfg = cfg.model.train_cfg, cfg.model.test_cfg
    head = MODELS.build(ConfigDict(cfg.model.roi_head, train_cfg=train_cfg.rcnn, test_cfg=test_cfg.rcnn))
    assert head.prm == PRM(parse_ratios("1:1,1:3"), head_loss="mean", draws="nested")
    assert {type(sampler).__name__ for sampler in head.bbox_samplers} == {"NestedRandomSampler"}


@pytest.mark.parametrize(
    ("name", "arguments", "ratio"),
    [
        (R50, dict(rga=False, prm=False), "1:3"),
        (CASCADE, dict(rga=False, prm=False), "1:3"),
        (R50, dict(ratios=parse_ratios("2:5")), "2:5"),
        (R50, {}, None),
        (RETINANET, dict(rga=False, prm=False), None),
    ],
)
def test_the_ratio_of_a_single_head(name, arguments, ratio):
    found = single_ratio(applied(name, **arguments))
    assert found == (SamplingRatio.parse(ratio) if ratio else None)


def test_a_rewritten_cascade_builds_with_the_configs_own_heads_at_every_stage():
    init_default_scope("mmdet")
    cfg = applied(CASCADE, ratios=parse_ratios("1:1,1:9"))
    head = MODELS.build(
        ConfigDict(cfg.model.roi_head, train_cfg=cfg.model.train_cfg.rcnn, test_cfg=cfg.model.test_cfg.rcnn)
    )
    assert [len(heads) for heads in head.bbox_head] == [2, 2, 2]
    assert [[sampler.pos_fraction for sampler in samplers] for samplers in head.bbox_samplers] == [[0.5, 0.1]] * 3


# --- what is trained without the method, or with half of it


def test_without_rga_and_prm_the_config_is_mmdets_own():
    stock, cfg = load_config(R50), applied(rga=False, prm=False)
    assert cfg.model == stock.model
    assert cfg.custom_hooks == []


@pytest.mark.parametrize("name", [R50, CASCADE])
def test_parallel_heads_are_taken_away_again(name):
    cfg = applied(name, head_loss="mean", draws="nested")
    set_method(cfg, rga=False, prm=False)
    assert cfg.model == load_config(name).model
    assert cfg.custom_hooks == []


def test_each_half_of_the_method_goes_without_the_other():
    rga, prm = applied(prm=False), applied(rga=False)
    assert (rga.model.roi_head.type, annealing(rga).lambda0) == ("StandardRoIHead", 7.0)
    assert (prm.model.roi_head.type, prm.custom_hooks) == ("ParallelRoIHead", [])


def test_a_plain_config_stays_as_it_is_unless_asked():
    def plain(**arguments):
        cfg = load_config(R50)
        cfg.plain = True
        set_method(cfg, **arguments)
        return describe_method(cfg)

    assert plain() == "StandardRoIHead as the config has it, no PRM, no RGA"
    assert plain(lambda0=3) == "StandardRoIHead as the config has it, no PRM, λ0 3 (linear)"
    assert plain(ratios=parse_ratios("1:1")) == "1 R-CNN head at 1:1 (soft sampling), no RGA"
    assert plain(rga=True, prm=True) == "2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)"
    assert plain(head_loss="mean") == "2 R-CNN heads at 1:1, 1:9 (soft sampling, mean of the losses), no RGA"
    nested = "2 R-CNN heads at 1:1, 1:9 (soft sampling, nested draws, mean of the losses), no RGA"
    assert plain(draws="nested", head_loss="mean") == nested


@pytest.mark.parametrize("given", [{}, dict(lambda0=7.0), dict(anneal="linear")])
def test_what_a_config_leaves_to_the_hooks_defaults_is_told_as_well(given):
    cfg = load_config(R50)
    cfg.custom_hooks = [ConfigDict(type=OURS, **given)]
    assert describe_method(cfg).endswith(", λ0 7 (linear)")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(rga=False, lambda0=7), "rga=False contradicts lambda0"),
        (dict(rga=False, anneal="none"), "rga=False contradicts anneal"),
        (dict(prm=False, ratios=parse_ratios("1:1")), "prm=False contradicts ratios"),
        (dict(prm=False, sampling="hard"), "prm=False contradicts sampling"),
        (dict(prm=False, head_loss="sum"), "prm=False contradicts head_loss"),
        (dict(prm=False, draws="nested"), "prm=False contradicts draws"),
        (dict(sampling="hard", draws="nested"), "draws=nested is defined for soft sampling only"),
    ],
)
def test_a_contradiction_is_refused(arguments, complaint):
    assert complaint in refusal(applied, **arguments)


def test_a_one_stage_detector_trains_only_as_it_is():
    message = refusal(applied, RETINANET)
    assert message.startswith("RetinaNet has no RoI head with bbox heads")
    assert "rga=False prm=False" in message
    cfg = applied(RETINANET, rga=False, prm=False)
    assert cfg.model == load_config(RETINANET).model
    assert parallel_ratios(cfg) == ()


@pytest.mark.parametrize(
    ("name", "obstacle"),
    [
        (DYNAMIC, "this config's RoI head is DynamicRoIHead"),
        ("mmdet::double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py", "this config's RoI head is DoubleHeadRoIHead"),
        ("mmdet::htc/htc-without-semantic_r50_fpn_1x_coco.py", "RoI head is HybridTaskCascadeRoIHead"),
    ],
)
def test_what_cannot_have_parallel_heads_gets_rga_alone_and_says_why(name, obstacle):
    cfg = applied(name)
    assert cfg.model == load_config(name).model
    assert annealing(cfg).lambda0 == 7.0
    for asked in (
        dict(ratios=parse_ratios("1:1,1:9")),
        dict(sampling="hard"),
        dict(head_loss="mean"),
        dict(draws="nested"),
        dict(prm=True),
    ):
        message = refusal(applied, name, **asked)
        assert obstacle in message
        assert f"; leave out {next(iter(asked))} to train it with RGA alone." in message


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"roi_head.bbox_head.type": "DoubleConvFCBBoxHead"}, "several of bbox head DoubleConvFCBBoxHead"),
        ({"train_cfg.rcnn.sampler.type": "mmdet.ScoreHLRSampler"}, "which ScoreHLRSampler does not sample by"),
        ({"train_cfg.rcnn.sampler": ConfigDict(_delete_=True, type="PseudoSampler")}, "PseudoSampler does not"),
        ({"train_cfg.rcnn": ConfigDict(_delete_=True)}, "no model.train_cfg.rcnn.sampler"),
    ],
)
def test_heads_and_samplers_unfit_for_prm_are_refused(changes, obstacle):
    cfg = load_config(R50)
    cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
    before = cfg.pretty_text
    assert obstacle in refusal(set_method, cfg, ratios=parse_ratios("1:1,1:9"))
    assert cfg.pretty_text == before


@pytest.mark.parametrize("scope", ["mmdet", "mmdet.models.roi_heads"])
def test_a_scope_before_a_type_is_no_obstacle(scope):
    cfg = load_config(R50)
    cfg.model.roi_head.type = f"{scope}.StandardRoIHead"
    set_method(cfg)
    assert cfg.model.roi_head.type == "ParallelRoIHead"


def test_a_config_without_a_model_is_refused():
    assert "no mmdet detector config" in refusal(set_method, Config(dict(optimizer=1)))


@pytest.mark.parametrize("lambda0", [0.99, 0, -7, float("nan"), float("inf")])
def test_a_lambda0_out_of_range_is_refused(lambda0):
    assert refusal(applied, lambda0=lambda0).startswith(f"lambda0={lambda0:g}: it must be a finite number")


@pytest.mark.parametrize("own", [dict(lambda0=0.5), dict(lambda0="seven"), dict(anneal="cosine")])
def test_a_config_whose_annealing_cannot_be_is_refused_in_one_line(own):
    cfg = load_config(R50)
    cfg.custom_hooks = [dict(type=OURS, **own)]
    ((name, value),) = own.items()
    assert refusal(set_method, cfg).startswith(f"{name}={value}: it ")


@pytest.mark.parametrize("settings", [dict(sampling="hard"), dict(draws="nested")])
def test_hard_sampling_and_nested_draws_of_another_sampler_are_refused_and_nothing_changed(settings):
    cfg = load_config("mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py")
    before = cfg.pretty_text
    ((name, value),) = settings.items()
    message = f"{name}={value} is defined for RandomSampler only; this config samples by CombinedSampler."
    assert refusal(set_method, cfg, **settings) == message
    assert cfg.pretty_text == before


def test_proposals_are_asked_of_a_detector_with_an_rpn_only():
    require_rpn(load_config(R50))
    assert "RetinaNet has no RPN" in refusal(require_rpn, load_config(RETINANET))
    sparse = load_config("mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py")
    assert "SparseRCNN has no RPN" in refusal(require_rpn, sparse)


@pytest.mark.parametrize("name", [R50, CASCADE])
def test_a_ratio_that_leaves_a_head_without_positives_is_refused_and_nothing_changed(name):
    cfg = load_config(name)
    before = cfg.pretty_text
    message = refusal(set_method, cfg, ratios=parse_ratios("1:1,1:512"))
    assert "sampling ratio 1:512 leaves a head without positives: it draws 512 RoIs an image" in message
    assert cfg.pretty_text == before
    set_method(cfg, ratios=parse_ratios("1:1,1:511"))


def test_a_parallel_head_whose_config_names_no_ratios_has_the_papers():
    cfg = load_config(R50)
    cfg.model.roi_head.type = "ParallelRoIHead"
    assert list(map(str, parallel_ratios(cfg))) == ["1:1", "1:9"]
    assert "2 R-CNN heads at 1:1, 1:9 (soft sampling)" in describe_method(cfg)
