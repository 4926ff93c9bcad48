import subprocess
import sys

import pytest

from rgacli.api.configs import ConfigList, ResolvedConfig, configs
from rgacli.config.catalogue import TABLES, bundled_configs
from rgacli.config.files import load_config
from rgacli.errors import UsageError


def test_the_bundled_configs_are_listed_in_their_order():
    found = configs()
    assert isinstance(found, ConfigList)
    assert tuple(entry.name for entry in found.configs) == bundled_configs()


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_its_configs_with_its_rows_alone(table):
    found = configs(table=table).configs
    assert found
    assert [entry.paper for entry in found] == [
        rows for entry in configs().configs if (rows := tuple(row for row in entry.paper if row["table"] == table))
    ]


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_rga-prm", "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"])
def test_a_config_is_resolved(tmp_path, name):
    found = configs(name)
    assert isinstance(found, ResolvedConfig)
    assert (found.name, found.values) == (name, load_config(name).to_dict())
    (tmp_path / "mine.py").write_text(found.text)
    assert configs(str(tmp_path / "mine.py")).values == found.values


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(name="quikstart"), "Closest: quickstart, quickstart-cascade. rgacli.configs lists the bundled ones."),
        (dict(table=9), "table=9: the paper has tables 1 to 8."),
        (dict(name="quickstart", table=2), "table lists configs and name shows one: give one of the two."),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, complaint):
    with pytest.raises(UsageError) as error:
        configs(**arguments)
    assert str(error.value).endswith(complaint)


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from rgacli.api.configs import configs; assert configs(table=2).configs\n"
        "found = {'torch', 'mmengine', 'mmdet', 'numpy'} & sys.modules.keys(); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
