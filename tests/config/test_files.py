import errno
import sys
import tempfile

import pytest
from mmengine.config import Config

from rgacli.config.catalogue import CONFIGS
from rgacli.config.files import BUILD_ERRORS, cannot_build, load_config, set_keys
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
        f"{heads}\nbox_head = dict(type=bbox_heads.BBoxHead)\n"
        "model = dict(type='FasterRCNN', roi_head=dict(type=StandardRoIHead, bbox_head=box_head))"
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
        (str(CONFIGS), "is a folder: a dataset is given by data="),
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
        ("a.json", "[1]", "holds no keys with values"),
        ("a.yaml", "model", "holds no keys with values"),
        ("a.txt", "model = 1", "not a .py, .json or .yaml file"),
        ("a.py", "import sys\nsys.exit(3)", "it ends the process, SystemExit(3)"),
        ("a.py", "raise KeyboardInterrupt", "it raises KeyboardInterrupt"),
        ("a.py", "model = 'text'", "model is 'text'; expected a dict"),
        ("a.py", "model = dict(type='R', roi_head=3)", "model.roi_head is 3; expected a dict or None"),
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


def test_ctrl_c_while_a_config_is_read_is_no_error_of_it(tmp_path, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    (tmp_path / "a.py").write_text("model = dict(type='R')")
    monkeypatch.setattr(Config, "fromfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_config(str(tmp_path / "a.py"))


def test_what_a_config_may_leave_out_is_written_out(tmp_path):
    (tmp_path / "a.py").write_text(
        "model = dict(type='R')\ndefault_hooks = None\nparam_scheduler = dict(type='StepLR')"
    )
    cfg = load_config(str(tmp_path / "a.py"))
    assert (cfg.default_scope, cfg.default_hooks, cfg.param_scheduler) == ("mmdet", {}, [dict(type="StepLR")])


def test_a_part_that_cannot_be_built_is_named():
    from mmdet.registry import MODELS

    with pytest.raises(BUILD_ERRORS) as error:
        MODELS.build(dict(type="ResNet", depth=18, num_stages="4"))
    assert str(cannot_build(error.value)).startswith("what the config describes cannot be built: ResNet: TypeError: ")
    lost = AttributeError("'ConfigDict' object has no attribute 'rcnn'")
    assert str(cannot_build(lost)) == "what the config describes cannot be built: the config lacks `rcnn`."
    with pytest.raises(BUILD_ERRORS) as error:
        MODELS.build(dict(type="nosuch" * 100))
    assert len(str(cannot_build(error.value))) < 400


# --- --set


def a_config():
    stages = [dict(width=1), dict(width=2)]
    numbers = dict(mean=[1.0, 2.0, 3.0], scale=(1333, 800))
    return Config(dict(lr=0.1, model=dict(type="Mine", depth=50, name="r50", init=None, stages=stages, **numbers)))


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
        ("model.stages.1={'depth': 5}", "model.stages", [dict(width=1), dict(width=2, depth=5)]),
        ("model.stages.0=None", "model.stages", [None, dict(width=2)]),
        ("model.mean.1=5", "model.mean", [1.0, 5, 3.0]),
        ("model.scale.0=640", "model.scale", (640, 800)),
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
        ("model.name.x=1", "model.name.x: 'model.name' is 'r50', and has no keys"),
        ("model.stages.x=1", "model.stages.x: 'model.stages' is a list of 2; its elements are 0, 1"),
        ("model.stages.²=1", "model.stages.²: 'model.stages' is a list of 2"),
        ("model..depth=1", "model..depth: a key is of the form"),
        ("model.=1", "a key is of the form"),
        (".=1", "a key is of the form"),
        ("é" * 300, f"{'é' * 60}… is not of the form KEY=VALUE"),
    ],
)
def test_an_assignment_that_would_do_nothing_is_refused_in_one_line(assignment, complaint):
    cfg = a_config()
    with pytest.raises(UsageError) as error:
        set_keys(cfg, [assignment])
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert cfg.to_dict() == a_config().to_dict()


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        (["model=None"], "settings: model is None; expected a dict"),
        (["model.roi_head=3"], "settings: model.roi_head is 3; expected a dict or None"),
        (["model=" + "[" * 3000], "settings: model is '[[["),
        ({"model.roi_head": {"bbox_head": []}}, "settings: model.roi_head.bbox_head is []"),
        (["custom_imports.imports=nosuch"], "custom_imports.imports=nosuch: "),
        (["custom_imports.imports=3"], "settings: custom_imports.imports is 3; expected a text or a list of texts"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_one_line(assignments, complaint):
    cfg = a_config()
    cfg.custom_imports = dict(imports=[])
    with pytest.raises(UsageError) as error:
        set_keys(cfg, assignments)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_that_is_set_to_be_imported_is(tmp_path, monkeypatch):
    (tmp_path / "set_to_be_imported.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    cfg = a_config()
    cfg.custom_imports = dict(imports=[])
    set_keys(cfg, ["custom_imports.imports=['set_to_be_imported']"])
    assert "set_to_be_imported" in sys.modules


def test_a_dict_takes_the_place_of_what_is_none_without_the_mark_that_says_so():
    cfg = a_config()
    set_keys(cfg, {"model.init": {"_delete_": True, "a": 1}})
    assert cfg.model.init == dict(a=1)


def test_a_full_temporary_folder_is_no_fault_of_the_config(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Config, "fromfile", full)
    (tmp_path / "a.py").touch()
    with pytest.raises(OSError, match="No space left") as caught:
        load_config(str(tmp_path / "a.py"))
    assert caught.value.filename == tempfile.gettempdir()
