import subprocess
import sys

import pytest
from mmengine.config import Config

from rgacli.config.files import load_config, what_runs
from rgacli.config.safety import read_safely
from rgacli.errors import UsageError

# What a file says -> its line, and what is told of it.
RUN = {
    "a = 1\nimport os": (2, "`import os` is run"),
    "a = dict(\n    b=[1, open('x')])": (2, "`open('x')` is run"),
    "a = dict(**b)": (1, "`dict(**b)` is run"),
    "a = {'b': 1, **c}": (1, "is run"),
    "a = {[]: 1}": (1, "is run"),
    "a = f'{b}'": (1, "is run"),
    "a = -b": (1, "`-b` is run"),
    "a.b = 1": (1, "is run"),
    "a = b = 1": (1, "is run"),
    "a: int = 1": (1, "is run"),
    "a = 1\na += 1": (2, "is run"),
    "'''Says what it is.'''\nprint()": (2, "`print()` is run"),
    "a = '{{ fileDirname }}'": (1, "is filled in"),
    "custom_imports = dict(imports=['rgacli.core', 'theirs'])": (1, "custom_imports imports theirs"),
    "custom_imports = dict(imports='theirs')": (1, "custom_imports imports theirs"),
    "custom_imports = dict(imports='rgacli.__main__')": (1, "custom_imports imports rgacli.__main__"),
    "custom_imports = dict(imports=3)": (1, "custom_imports imports 3"),
    "model = dict(type='os.system', command='x')": (1, "type 'os.system' is no part of a model"),
    "model = {'type': 'mmengine.load', 'file': 'x.pkl'}": (1, "type 'mmengine.load' is no part of a model"),
    "nms = dict(type='print(1)')": (1, "type 'print(1)' is no part of mmdet's"),
    "default_scope = 'theirs'": (1, "default_scope 'theirs' is a package"),
    "model = dict(_scope_='theirs')": (1, "_scope_ 'theirs' is a package"),
    "dataset = dict(\n    ann_file='a.json', proposal_file='theirs.pkl')": (2, "proposal_file is a pickle"),
    "a = 'x.PKL'": (1, "'x.PKL' is a file that runs code"),
    "a = dict(ann_file='pkl')": (1, "'pkl' is a file that runs code"),  # to mmengine, a suffix
    "model = dict(teacher_config='theirs.py')": (1, "teacher_config is a config that is run"),
}
# What is a registered part, but not where it stands: it would be built there all the same.
MISPLACED = {
    "test_pipeline = [dict(type='mmengine.runner.Runner', work_dir='elsewhere')]": "is no transform",
    "test_dataloader = dict(dataset=dict(pipeline=[dict(type='RandomChoice', transforms=[[dict(type='Voc')]])]))": (
        "type 'Voc' is no transform"
    ),
    "test_dataloader = dict(dataset=dict(type='mmdet.OpenImagesChallengeDataset', hierarchy_file=''))": (
        "type 'mmdet.OpenImagesChallengeDataset' is no dataset that unpickles nothing"
    ),
    "train_dataloader = dict(dataset=dict(type='mmengine.runner.Runner', lazy_init=True))": (
        "type 'mmengine.runner.Runner' is no dataset that unpickles nothing"
    ),
    "model = dict(type='FasterRCNN', neck=dict(type='mmengine.FileClient'))": "is no part of a model",
    "model = dict(type='CheckpointHook')": "is no part of a model",
    "tta_model = dict(type='mmengine.Runner')": "is no part of a model",
    "test_dataloader = dict(sampler=dict(type='ResNet'))": "type 'ResNet' is no sampler",
    "test_dataloader = dict(collate_fn=dict(type='ResNet'))": "type 'ResNet' is no function of a dataloader",
    "test_evaluator = [dict(type='ResNet')]": "type 'ResNet' is no metric",
    "test_pipeline = [dict(type='LoadImageFromFile', backend_args=dict(backend='memcached', sys_path='theirs'))]": (
        "backend_args has files read in a way that can import a module"
    ),
}
NOTHING = [
    "a = -1.5",
    "'''Says what it is.'''\na = (1, [2, {'b': None}])",
    "model = dict(type='FasterRCNN', backbone=dict(type='mmdet.ResNet', _scope_='mmdet'))",
    "optimizer = dict(type='torch.optim.sgd.SGD')\nnms = dict(type='nms')\nlayer = dict(type='RoIAlign')",
    "model = dict(type='mmdet.models.detectors.FasterRCNN')",
    "custom_imports = dict(imports=['rgacli.core'], allow_failed_imports=False)",
    "test_pipeline = [dict(type='LoadImageFromFile', backend_args=None)]\na = dict(backend_args=dict(backend='local'))",
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "theirs.py"


@pytest.mark.parametrize("text", RUN)
def test_what_would_be_run_is_refused_with_its_line(file, text):
    line, what = RUN[text]
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        read_safely(file)
    assert f"theirs.py is refused by safe=True: line {line}: " in str(error.value)
    assert what in str(error.value)
    assert "\n" not in str(error.value)
    assert what_runs(str(file)).startswith(f"line {line}: ")


@pytest.mark.parametrize("text", NOTHING)
def test_what_runs_nothing_is_read_as_mmengine_reads_it(file, text):
    file.write_text(text)
    assert Config(read_safely(file)).to_dict() == Config.fromfile(file).to_dict()
    assert what_runs(str(file)) is None


@pytest.mark.parametrize("text", MISPLACED)
def test_a_part_stands_where_such_are_built(file, text):
    file.write_text(f"a = 1\n{text}")
    with pytest.raises(UsageError) as error:
        read_safely(file)
    assert "refused by safe=True: line 2: " in str(error.value)
    assert MISPLACED[text] in str(error.value)


@pytest.mark.parametrize("name", ["quickstart", "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"])
def test_what_is_registered_is_known_in_a_process_that_has_imported_none_of_it(tmp_path, name):
    """A run's config imports its parts; one of mmdet's, written out, does not."""
    path = tmp_path / "written.py"
    path.write_text(load_config(name).pretty_text)
    code = "import sys; from rgacli.config.files import load_config; load_config(sys.argv[1], safe=True)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_type_that_nothing_knows_is_refused_but_not_spoken_of(file):
    file.write_text("model = dict(type='nosuch')")  # mmengine looks for a module of that name
    with pytest.raises(UsageError, match="type 'nosuch' is no part of a model"):
        read_safely(file)
    assert what_runs(str(file)) is None


def test_a_config_that_inherits_is_refused_and_told_of_by_what_its_own_files_run(file, tmp_path):
    file.write_text("_base_ = ['mmdet::_base_/default_runtime.py', 'base.py']\na = 1")
    (tmp_path / "base.py").write_text("_base_ = 'theirs.py'\na = 1")
    with pytest.raises(UsageError, match="line 1: it inherits"):
        read_safely(file)
    assert what_runs(str(file)) is None
    (tmp_path / "base.py").write_text("import os")
    assert what_runs(str(file)) == "base.py, line 1: `import os` is run"
    file.write_text("_base_ = [str(1)]")
    assert what_runs(str(file)) == "line 1: `_base_ = [str(1)]` is run"


def test_a_resolved_config_loads_safely_to_the_same(file):
    cfg = load_config("faster-rcnn_r50_fpn_rga-prm")
    file.write_text(cfg.pretty_text)
    assert load_config(str(file), safe=True).to_dict() == cfg.to_dict()
    assert what_runs(str(file)) is None


def test_the_configs_of_this_installation_are_safe():
    assert load_config("quickstart", safe=True).to_dict() == load_config("quickstart").to_dict()
    assert what_runs("quickstart") is None
    assert what_runs("mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py") is None


def test_of_other_files_none_is_read_safely(tmp_path):
    path = tmp_path / "theirs.yaml"
    path.write_text("model: {type: Mine}")
    with pytest.raises(UsageError, match=r"only \.py files"):
        load_config(str(path), safe=True)
    assert "YAML" in what_runs(str(path))
