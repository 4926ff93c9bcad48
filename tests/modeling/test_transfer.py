"""A detector that starts from a trained one: what it detects, what of it is kept, and what is refused."""

import copy

import pytest
import torch

from rgacli.config.recipe import parallel_ratios, set_method
from rgacli.errors import RunFailed, UsageError
from rgacli.method import parse_ratios
from rgacli.modeling.source_weights import BBOX_HEAD, read_source
from rgacli.modeling.transfer import fit_config, transfer
from tests.support import tiny
from tests.support.families import family
from tests.support.roi_heads import CASCADE, CASCADE_MASK, FASTER, MASK, OHEM, short

CLASSES = ("a", "b", "c")


def saved(folder, cfg, classes=CLASSES, **meta):
    """A trained detector of random weights, and its checkpoint as mmengine writes it."""
    model = tiny.build(cfg.model)
    tiny.scramble(model.roi_head)
    meta = dict(meta, cfg=cfg.pretty_text, **({"dataset_meta": {"classes": classes}} if classes else {}))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / "trained.pth")
    return model.eval(), folder / "trained.pth"


def with_heads(cfg, ratios):
    cfg = copy.deepcopy(cfg)
    set_method(cfg, ratios=parse_ratios(ratios))
    cfg.model.roi_head.keep_heads = True
    return cfg


def started(cfg, path, classes=CLASSES):
    """The detector that starts from a checkpoint, and what became of that."""
    cfg = copy.deepcopy(cfg)
    source = read_source(path, cascade="num_stages" in cfg.model.roi_head)
    fit_config(cfg, source)
    model = tiny.build(cfg.model, seed=1)
    found = transfer(source, model, parallel_ratios(cfg), classes)
    model.load_state_dict(found.weights)
    return model.eval(), found


def detect(model):
    with torch.no_grad():
        return model.test_step(copy.deepcopy(tiny.batch()))


def assert_same(expected, found):
    """Equal up to the rounding of an average of equal logits."""
    assert len(expected) == len(found) > 5
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-5, atol=1e-4)
    assert torch.equal(found.labels, expected.labels)


# --- one head onto several


@pytest.mark.parametrize("ratios", ["1:1,1:9", "1:9,1:1,1:3"])
@pytest.mark.parametrize("name", [FASTER, MASK, CASCADE, CASCADE_MASK], ids=short)
def test_every_head_and_the_ensemble_detect_what_the_one_head_does(tmp_path, name, ratios):
    cfg = family(name)
    stock, path = saved(tmp_path, cfg)
    model, found = started(with_heads(cfg, ratios), path)
    assert found.kept is None
    assert not found.fresh
    assert not found.ignored
    for expected, sample in zip(detect(stock), detect(model), strict=True):
        assert_same(expected.pred_instances, sample.pred_instances)
        heads = sample.head_instances
        assert len(list(heads.keys())) == ratios.count(",") + 2
        for variant in heads.keys():  # noqa: SIM118  (a data element is no mapping)
            assert_same(expected.pred_instances, heads.get(variant))


def test_the_detector_stays_a_stock_one_where_it_is(tmp_path):
    cfg = tiny.stock_config()
    stock, path = saved(tmp_path, cfg)
    model, found = started(cfg, path)
    assert not found.copied
    for name, value in stock.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_heads_take_the_width_of_a_folded_one(tmp_path):
    cfg = tiny.stock_config()
    cfg.model.roi_head.bbox_head.fc_out_channels = 96
    stock, path = saved(tmp_path, cfg)
    narrow = tiny.tiny_config(keep_heads=True)
    told = fit_config(copy.deepcopy(narrow), read_source(path, cascade=False))
    assert told == ["hidden layers of the heads: 96 features, as the weights have"]
    model, _ = started(narrow, path)
    for expected, sample in zip(detect(stock), detect(model), strict=True):
        assert_same(expected.pred_instances, sample.pred_instances)


# --- several heads onto several


def head(model, k):
    return model.roi_head.bbox_head[k].fc_cls.weight


@pytest.mark.parametrize(
    ("ratios", "origins"), [("1:9,1:1", [1, 0]), ("1:8", [1]), ("1:9,1:9,1:2", [1, 1, 0]), ("1:1", [0])]
)
def test_heads_go_by_their_ratios(tmp_path, ratios, origins):
    trained, path = saved(tmp_path, tiny.tiny_config())
    model, found = started(tiny.tiny_config(ratios=ratios.split(",")), path)
    assert [torch.equal(head(model, k), head(trained, origin)) for k, origin in enumerate(origins)] == [True] * len(
        origins
    )
    assert list(found.copied.values()) == [("1:1", "1:9")[origin] for origin in origins]


def test_a_stock_head_takes_the_one_whose_boxes_the_ensemble_took(tmp_path):
    trained, path = saved(tmp_path, tiny.tiny_config(ratios=["1:9", "1:1"]))
    model, _ = started(tiny.stock_config(), path)
    assert torch.equal(model.roi_head.bbox_head.fc_cls.weight, head(trained, 1))


def test_heads_without_ratios_go_by_their_order_or_not_at_all(tmp_path):
    trained, path = saved(tmp_path, tiny.tiny_config())
    torch.save(trained.state_dict(), path)
    model, _ = started(tiny.tiny_config(ratios=["1:9", "1:1"]), path)
    assert torch.equal(head(model, 0), head(trained, 0))
    with pytest.raises(UsageError, match="2 heads a stage and do not tell their ratios"):
        started(tiny.tiny_config(ratios=["1:1", "1:3", "1:9"]), path)


def test_heads_of_a_cascade_go_by_stage_and_ratio(tmp_path):
    cfg = family(CASCADE)
    trained, path = saved(tmp_path, with_heads(cfg, "1:1,1:9"))
    model, _ = started(with_heads(cfg, "1:9,1:1"), path)
    for own, other in zip(model.roi_head.bbox_head, trained.roi_head.bbox_head, strict=True):
        assert torch.equal(own[0].fc_cls.weight, other[1].fc_cls.weight)
        assert torch.equal(own[1].fc_reg.weight, other[0].fc_reg.weight)


# --- classes


def test_a_class_of_the_same_name_keeps_its_rows(tmp_path):
    trained, path = saved(tmp_path, tiny.stock_config())
    cfg = tiny.tiny_config()
    cfg.model.roi_head.bbox_head.num_classes = 2
    model, found = started(cfg, path, classes=("c", "new"))
    assert found.kept == ("c",)
    old, new = trained.roi_head.bbox_head, model.roi_head.bbox_head[1]
    assert torch.equal(new.fc_cls.weight[[0, 2]], old.fc_cls.weight[[2, 3]])
    assert torch.equal(new.fc_reg.bias[:4], old.fc_reg.bias[8:])
    assert new.fc_cls.weight[1].abs().max() < 0.1 < old.fc_cls.weight.abs().max()
    assert torch.equal(new.shared_fcs[1].weight, old.shared_fcs[1].weight)
    assert list(found.lines(("c", "new")))[2] == "initialised anew: the class layers of new; kept: c"


def test_classes_in_another_order_stay_what_they_are(tmp_path):
    trained, path = saved(tmp_path, tiny.stock_config())
    model, _ = started(tiny.tiny_config(), path, classes=("c", "a", "b"))
    old, new = trained.roi_head.bbox_head.fc_cls.bias, model.roi_head.bbox_head[0].fc_cls.bias
    assert torch.equal(new, old[[2, 0, 1, 3]])


def test_a_class_agnostic_regressor_is_kept_where_there_is_one_class(tmp_path):
    cfg = tiny.stock_config()
    cfg.model.roi_head.bbox_head.update(num_classes=1, reg_class_agnostic=True)
    trained, path = saved(tmp_path, cfg, ("old",))
    model, _ = started(cfg, path, classes=("new",))
    old, new = trained.roi_head.bbox_head, model.roi_head.bbox_head
    assert torch.equal(new.fc_reg.weight, old.fc_reg.weight)


def test_masks_go_by_class_too(tmp_path):
    cfg = family(MASK)
    trained, path = saved(tmp_path, cfg)
    model, _ = started(with_heads(cfg, "1:1,1:9"), path, classes=("x", "y", "b"))
    old, new = trained.roi_head.mask_head.conv_logits.weight, model.roi_head.mask_head.conv_logits.weight
    assert torch.equal(new[2], old[1])
    assert not torch.equal(new[0], old[0])


@pytest.mark.parametrize("number", [3, 2])
def test_unnamed_classes_are_the_datasets_if_as_many(tmp_path, number):
    trained, path = saved(tmp_path, tiny.stock_config(), classes=None)
    cfg = tiny.tiny_config()
    cfg.model.roi_head.bbox_head.num_classes = number
    model, found = started(cfg, path, classes=CLASSES[:number])
    old, new = trained.roi_head.bbox_head.fc_cls.weight, model.roi_head.bbox_head[0].fc_cls.weight
    assert torch.equal(new[0], old[0]) == (number == 3)
    assert torch.equal(new[-1], old[-1])
    assert "names no classes" in "".join(found.lines(CLASSES[:number]))


@pytest.mark.parametrize("meta", [dict(CLASSES=CLASSES), dict(dataset_meta=dict(CLASSES=CLASSES))])
def test_older_checkpoints_name_their_classes_elsewhere(tmp_path, meta):
    _, path = saved(tmp_path, tiny.stock_config(), classes=None, **meta)
    assert read_source(path, cascade=False).classes == CLASSES


# --- what does not fit


def test_a_mask_head_starts_anew_or_stays_behind(tmp_path):
    _, path = saved(tmp_path, family(FASTER))
    _, found = started(family(MASK), path)
    assert set(found.fresh) == {"roi_head.mask_head"}
    assert not found.ignored
    assert "roi_head.mask_head (8 tensors), which the weights lack" in list(found.lines(CLASSES))[-1]
    _, path = saved(tmp_path, family(MASK))
    _, found = started(family(FASTER), path)
    assert set(found.ignored) == {"roi_head.mask_head"}
    assert not found.fresh


def test_a_cascade_and_a_faster_do_not_fit_each_other(tmp_path):
    _, path = saved(tmp_path, family(FASTER))
    with pytest.raises(UsageError, match="of a detector of 1 stage, and the config's has 3"):
        started(family(CASCADE), path)
    _, path = saved(tmp_path, family(CASCADE))
    with pytest.raises(UsageError, match="of a detector of 3 stages, and the config's has 1"):
        started(with_heads(family(FASTER), "1:1,1:3,1:9"), path)


@pytest.mark.parametrize(
    ("part", "settings", "wrong"),
    [
        ("backbone", dict(depth=34), "this lacks backbone.layer"),
        ("rpn_head", dict(feat_channels=32), "has in other shapes rpn_head"),
        (
            "roi_head.bbox_head",
            dict(type="ConvFCBBoxHead", num_shared_fcs=1),
            "this has in excess roi_head.bbox_head.0.shared_fcs.1",
        ),
    ],
    ids=["backbone", "rpn", "head"],
)
def test_another_architecture_is_refused(tmp_path, part, settings, wrong):
    _, path = saved(tmp_path, tiny.stock_config())
    cfg = tiny.tiny_config()
    cfg.merge_from_dict({f"model.{part}": settings})
    with pytest.raises(UsageError, match=wrong):
        started(cfg, path)


def test_a_sampler_of_another_kind_changes_nothing(tmp_path):
    _, path = saved(tmp_path, family(OHEM))
    _, found = started(with_heads(family(FASTER), "1:1,1:9"), path)
    assert not found.fresh
    assert not found.ignored


def test_a_one_stage_detector_keeps_what_is_not_by_class(tmp_path):
    cfg = family("retinanet/retinanet_r50_fpn_1x_coco")
    trained, path = saved_one_stage(tmp_path, cfg)
    cfg.model.bbox_head.num_classes = 2
    source = read_source(path, cascade=False)
    model = tiny.build(cfg.model, seed=1)
    found = transfer(source, model, (), ("x", "y"))
    assert found.fresh == {"bbox_head": 2}
    name = "bbox_head.cls_convs.0.conv.weight"
    assert torch.equal(found.weights[name], trained.state_dict()[name])


def saved_one_stage(folder, cfg):
    model = tiny.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), folder / "one.pth")
    return model, folder / "one.pth"


def test_weights_of_a_backbone_alone_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(UsageError, match="not of a detector"):
        read_source(tmp_path / "resnet.pth", cascade=False)


def test_weights_are_fetched_from_an_address_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    _, path = saved(tmp_path, tiny.stock_config())
    first = read_source(path.as_uri(), cascade=False)
    assert first.path == tmp_path / "cache/hub/checkpoints/trained.pth"
    path.unlink()
    assert read_source(path.as_uri(), cascade=False).rest.keys() == first.rest.keys()
    with pytest.raises(RunFailed, match=r"other\.pth cannot be fetched"):
        read_source(path.with_name("other.pth").as_uri(), cascade=False)


def test_a_config_in_a_checkpoint_is_not_run(tmp_path):
    cfg = f"model = dict(roi_head=dict(type='ParallelRoIHead', ratios=open({str(tmp_path / 'made')!r}, 'w')))"
    weights = {"backbone.x": torch.zeros(1), f"{BBOX_HEAD}fc_cls.weight": torch.zeros(1)}
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg)), tmp_path / "x.pth")
    assert read_source(tmp_path / "x.pth", cascade=False).ratios is None
    assert not (tmp_path / "made").exists()
