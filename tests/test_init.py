"""The package itself: its functions, which are imported when they are first asked for."""

import ast
import importlib
import importlib.util
import inspect
from pathlib import Path

import pytest

import rgacli
from tests.support.processes import python_code

FUNCTIONS = [
    "accuracy",
    "analyze_dataset",
    "bench_all",
    "bench_data",
    "bench_eval",
    "bench_infer",
    "bench_startup",
    "bench_train",
    "calibration",
    "check_dataset",
    "configs",
    "convert_dataset",
    "count_error",
    "doctor",
    "ensemble",
    "error_types",
    "evaluate",
    "export_fold",
    "export_head",
    "export_onnx",
    "gradients",
    "gt_bins",
    "list_runs",
    "load",
    "positives",
    "predict",
    "prepare_crowdhuman",
    "proposals",
    "prune_runs",
    "remove_runs",
    "report",
    "reproduce",
    "scores",
    "show_run",
    "synth_dataset",
    "train",
]


def test_importing_rgacli_imports_nothing_heavy():
    loaded = python_code(
        """
        import sys, rgacli
        dir(rgacli), rgacli.__version__
        print(sorted({"torch", "numpy", "mmengine", "mmdet", "cv2"} & set(sys.modules)), "rgacli.api" in sys.modules)
        """
    )
    assert loaded == "[] False\n"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_is_that_of_its_module(name):
    found = getattr(rgacli, name)
    assert found.__module__.startswith("rgacli.api.")
    assert found is getattr(importlib.import_module(found.__module__), name)
    assert inspect.getdoc(found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_module_shadows_a_function(name):
    """The folder of the configs is none: it has no code, and nothing imports it."""
    spec = importlib.util.find_spec(f"rgacli.{name}")
    assert spec is None or spec.origin is None


def test_submodules_stay_what_they_are():
    for name in ("export", "ensembles", "evaluation", "errors"):
        assert inspect.ismodule(importlib.import_module(f"rgacli.{name}"))
        assert inspect.ismodule(getattr(rgacli, name))
    from rgacli import load, runs

    assert inspect.isfunction(load)
    assert inspect.ismodule(runs)


def test_what_it_offers_is_listed():
    assert set(FUNCTIONS) <= set(dir(rgacli))
    assert "__version__" in dir(rgacli)
    with pytest.raises(AttributeError, match="module 'rgacli' has no attribute 'evaluat'"):
        rgacli.evaluat  # noqa: B018


def test_type_checkers_see_the_same_functions():
    tree = ast.parse(Path(rgacli.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: line.module for line in checked.body for alias in line.names if alias.asname == alias.name}
    assert seen == {name: f"rgacli.api.{module}" for name, module in rgacli._FUNCTIONS.items()}
    assert sorted(seen) == FUNCTIONS
