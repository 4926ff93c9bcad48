import errno
import tempfile

import pytest
from mmengine.config import Config

from rgacli.config.files import load_config, set_keys
from rgacli.errors import UsageError

# --- finding


@pytest.mark.parametrize("name", ["quickstart", "quickstart.py"])
def test_a_bundled_config_is_found_by_its_name_with_or_without_suffix(name):
    assert load_config(name).filename.endswith("configs/quickstart.py")


def test_mmdets_configs_are_found_by_package():
    cfg = load_config("mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py")
    assert cfg.model.backbone.depth == 50
    assert cfg.filename.endswith("faster-rcnn_r50_fpn_1x_coco.py")


def test_a_file_goes_before_a_bundled_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.py").write_text("model = dict(type='Mine')")
    assert load_config("quickstart.py").model.type == "Mine"
    assert load_config("quickstart").model.type == "FasterRCNN"


def test_a_config_that_names_types_by_class_reads_as_one_that_names_them_by_string(tmp_path):
    heads = "from mmdet.models.roi_heads import StandardRoIHead, bbox_heads"
    (tmp_path / "mine.py").write_text(
        f"{heads}\nmodel = dict(roi_head=dict(type=StandardRoIHead, bbox_head=dict(type=bbox_heads.BBoxHead)))"
    )
    roi_head = load_config(str(tmp_path / "mine.py")).model.roi_head
    assert roi_head.type == "mmdet.models.roi_heads.StandardRoIHead"
    assert roi_head.bbox_head.type == "mmdet.models.roi_heads.bbox_heads.BBoxHead"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere", "neither a file nor a bundled config nor one of mmdet's"),
        ("nowhere", "coco.py). rgacli.configs lists the bundled ones."),
        ("faster-rcnn_r50_fpn_rag-prm_1x_coco", "). Closest: faster-rcnn_r50_fpn_rga-prm_1x_coco, "),
        ("quikstart.py", "). Closest: quickstart, quickstart-cascade. rgacli.configs"),
        ("mmdet::faster_rcnn/nowhere.py", "no such file"),
        ("mmdet::retinanet/retinanet_r50_fpn_1x.py", "Closest: retinanet/retinanet_r50_fpn_1x_coco.py, "),
        ("nowhere::a/b.py", "nowhere"),
    ],
)
def test_a_config_that_is_nowhere_is_named_in_one_line(name, complaint):
    with pytest.raises(UsageError) as error:
        load_config(name)
    assert complaint in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("a.py", "model = dict(", "cannot be read: SyntaxError"),
        ("a.py", "model = dict(a=missing)", "missing"),
        ("a.py", "_base_ = 'nowhere.py'", "nowhere.py"),
        ("a.py", "_base_ = 'mmdet::faster_rcnn/nowhere.py'", "nowhere"),
        ("a.py", "optimizer = 1", "has no `model`"),
        ("a.json", "{", "cannot be read"),
        ("a.txt", "model = 1", "not a .py, .json or .yaml file"),
    ],
)
def test_a_config_that_cannot_be_read_is_named_in_one_line(tmp_path, file, content, complaint):
    path = tmp_path / file
    path.write_text(content)
    with pytest.raises(UsageError) as error:
        load_config(str(path))
    assert complaint in str(error.value)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


# --- --set


def a_config():
    return Config(dict(lr=0.1, model=dict(depth=50, name="r50", init=None, stages=[dict(width=1), dict(width=2)])))


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("lr=0.01", "lr", 0.01),
        ("model.depth=101", "model.depth", 101),
        ("model.name=r101", "model.name", "r101"),
        ("model.name=a=b", "model.name", "a=b"),
        ("model.init=[1, 2]", "model.init", [1, 2]),
        ("model.init={'type': 'Pretrained'}", "model.init", dict(type="Pretrained")),
        ("model.init=true", "model.init", True),
        ("model.name=none", "model.name", None),
        ("model.name=", "model.name", ""),
        ("model.frozen=2", "model.frozen", 2),
        ("model.stages.1.width=5", "model.stages", [dict(width=1), dict(width=5)]),
    ],
)
def test_an_assignment_sets_its_key_and_nothing_else(assignment, key, value):
    cfg, expected = a_config(), a_config()
    set_keys(cfg, [assignment])
    owner = expected if "." not in key else expected.model
    owner[key.rpartition(".")[2]] = value
    assert cfg.to_dict() == expected.to_dict()


def test_assignments_apply_in_order():
    cfg = a_config()
    set_keys(cfg, ["model.init={'a': 1}", "model.init.a=2", "lr=1", "lr=2"])
    assert (cfg.model.init.a, cfg.lr) == (2, 2)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("lr", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("learning_rate=1", "no such key"),
        ("mdoel.depth=1", "no 'mdoel' to set 'depth' in"),
        ("model.backbone.depth=1", "no 'model.backbone' to set 'depth' in"),
        ("model.stages.2.width=1", "no 'model.stages.2' to set 'width' in"),
        ("model.name.x=1", "model.name.x"),
        ("model.stages.x=1", "model.stages.x"),
    ],
)
def test_an_assignment_that_would_do_nothing_is_refused_in_one_line(assignment, complaint):
    cfg = a_config()
    with pytest.raises(UsageError) as error:
        set_keys(cfg, [assignment])
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert cfg.to_dict() == a_config().to_dict()


def test_a_full_temporary_folder_is_no_fault_of_the_config(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Config, "fromfile", full)
    (tmp_path / "a.py").touch()
    with pytest.raises(OSError, match="No space left") as caught:
        load_config(str(tmp_path / "a.py"))
    assert caught.value.filename == tempfile.gettempdir()
