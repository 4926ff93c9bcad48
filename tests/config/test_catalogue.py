import pytest

from rgacli.config import catalogue
from rgacli.config.catalogue import closest, read_catalogue


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """An empty folder that the catalogue takes for the bundled configs."""
    monkeypatch.setattr(catalogue, "CONFIGS", tmp_path)
    return tmp_path


def entry_of(folder, name, text):
    (folder / f"{name}.py").write_text(text)
    return next(entry for entry in read_catalogue() if entry.name == name)


def test_an_entry_says_what_its_file_and_the_files_it_inherits_say(configs):
    base = """# The baseline.
_base_ = "mmdet::somewhere.py"
paper = [dict(table=2, row="baseline", AP=36.1)]
model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"], sampling="hard"), neck=dict(out_channels=1))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=3.0)]
"""
    entry = entry_of(configs, "base", base)
    assert (entry.name, entry.description, entry.plain) == ("base", "The baseline.", False)
    assert (entry.settings, entry.baseline) == ("mmdet 3", None)
    assert (entry.lambda0, entry.anneal, entry.ratios, entry.sampling) == (3.0, "linear", ("1:3",), "hard")
    assert entry.paper == ({"table": 2, "row": "baseline", "AP": 36.1},)
    own = """# Another.
_base_ = ["base.py"]
model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="EMAHook"), dict(type="GradientAnnealingHook", lambda0=7.0, anneal="none")]
"""
    entry = entry_of(configs, "own", own)
    assert entry.description == "Another."
    assert (entry.lambda0, entry.anneal, entry.ratios, entry.sampling) == (7.0, "none", ("1:1", "1:9"), "hard")


def test_a_plain_config_has_no_method(configs):
    entry = entry_of(configs, "plain", '# As it is.\n_base_ = "mmdet::somewhere.py"\nplain = True\n')
    assert entry.plain
    assert (entry.lambda0, entry.anneal, entry.ratios, entry.sampling, entry.paper) == (None, None, (), None, ())


def test_an_entry_says_whose_settings_it_inherits_and_what_its_detector_does_without_the_method(configs):
    (configs / "_base_").mkdir()
    (configs / "_base_" / "model_v1.py").write_text('settings = "mmdet 1.x"\nmodel = dict(neck=dict(out_channels=1))\n')
    entry = entry_of(configs, "old", '# Old.\n_base_ = ["_base_/model_v1.py", "mmdet::somewhere.py"]\n')
    assert (entry.settings, entry.baseline) == ("mmdet 1.x", None)
    entry = entry_of(
        configs, "new", '# New.\n_base_ = "mmdet::a/b.py"\nbaseline = dict(config="mmdet::a/b.py", AP=1.5)\n'
    )
    assert (entry.settings, entry.baseline) == ("mmdet 3", {"config": "mmdet::a/b.py", "AP": 1.5})


def test_rows_are_those_of_a_table(configs):
    paper = "[dict(table=1, row='a', AP=1.0), dict(table=2, row='b', AP=2.0), dict(table=1, row='c', AP=3.0)]"
    entry = entry_of(configs, "several", f"# Several.\npaper = {paper}\n")
    assert [row["row"] for row in entry.rows(1)] == ["a", "c"]
    assert entry.rows(3) == ()


def test_what_is_trained_or_advised_where_no_config_is_named_is_there():
    assert {catalogue.QUICKSTART, catalogue.LITE, catalogue.MODERN} <= set(catalogue.bundled_configs())


def test_files_are_parsed_and_not_run(configs):
    text = "# Computed.\na, b = 1, 2\nscale = a / 0\npaper = [dict(table=len('four'), row=raises())]\nb.c = d[0] = 1\n"
    assert entry_of(configs, "computed", text).paper == ({"table": None, "row": None},)


def test_folders_among_the_configs_hold_no_configs(configs):
    (configs / "_base_").mkdir()
    (configs / "_base_" / "part.py").write_text("# A part.\nplain = True\n")
    assert entry_of(configs, "whole", '# Whole.\n_base_ = "_base_/part.py"\n').plain
    assert [entry.name for entry in read_catalogue()] == ["whole"]


def test_names_are_ordered_part_by_part(configs):
    for name in ("r50_rga-prm_1x", "r50_rga_2x", "r50_2x", "r50_1x"):
        (configs / f"{name}.py").touch()
    assert catalogue.bundled_configs() == ("r50_1x", "r50_2x", "r50_rga_2x", "r50_rga-prm_1x")


@pytest.mark.parametrize(("name", "hint"), [("quikstart", " Closest: quickstart."), ("zzz", "")])
def test_the_closest_names_are_told_if_any_are_close(name, hint):
    assert closest(name, ["quickstart", "something else"]) == hint
