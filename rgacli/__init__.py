"""R-CNN Gradient Annealing and Parallel R-CNN Modules for two-stage detectors.

One function per command of `rgacli`, and `load`. Importing the package is light: a function's module, and torch with
it, is imported when the function is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgacli.api.accuracy import accuracy as accuracy
    from rgacli.api.bench import bench_all as bench_all
    from rgacli.api.bench import bench_data as bench_data
    from rgacli.api.bench import bench_eval as bench_eval
    from rgacli.api.bench import bench_infer as bench_infer
    from rgacli.api.bench import bench_startup as bench_startup
    from rgacli.api.bench import bench_train as bench_train
    from rgacli.api.calibration import calibration as calibration
    from rgacli.api.configs import configs as configs
    from rgacli.api.count_error import count_error as count_error
    from rgacli.api.data import check_dataset as check_dataset
    from rgacli.api.data import convert_dataset as convert_dataset
    from rgacli.api.data import prepare_crowdhuman as prepare_crowdhuman
    from rgacli.api.data import synth_dataset as synth_dataset
    from rgacli.api.dataset import analyze_dataset as analyze_dataset
    from rgacli.api.doctor import doctor as doctor
    from rgacli.api.ensemble import ensemble as ensemble
    from rgacli.api.error_types import error_types as error_types
    from rgacli.api.evaluate import evaluate as evaluate
    from rgacli.api.export import export_fold as export_fold
    from rgacli.api.export import export_head as export_head
    from rgacli.api.export import export_onnx as export_onnx
    from rgacli.api.gradients import gradients as gradients
    from rgacli.api.gt_bins import gt_bins as gt_bins
    from rgacli.api.load import load as load
    from rgacli.api.positives import positives as positives
    from rgacli.api.predict import predict as predict
    from rgacli.api.proposals import proposals as proposals
    from rgacli.api.report import report as report
    from rgacli.api.reproduce import reproduce as reproduce
    from rgacli.api.runs import list_runs as list_runs
    from rgacli.api.runs import prune_runs as prune_runs
    from rgacli.api.runs import remove_runs as remove_runs
    from rgacli.api.runs import show_run as show_run
    from rgacli.api.scores import scores as scores
    from rgacli.api.train import train as train

__version__ = "0.1.0"

# Function -> its module in rgacli.api. No function may bear the name of a module or package here: it would be shadowed.
_FUNCTIONS = {
    "train": "train",
    "evaluate": "evaluate",
    "ensemble": "ensemble",
    "positives": "positives",
    "accuracy": "accuracy",
    "gradients": "gradients",
    "proposals": "proposals",
    "scores": "scores",
    "gt_bins": "gt_bins",
    "error_types": "error_types",
    "calibration": "calibration",
    "count_error": "count_error",
    "analyze_dataset": "dataset",
    "report": "report",
    "reproduce": "reproduce",
    "predict": "predict",
    "export_fold": "export",
    "export_head": "export",
    "export_onnx": "export",
    "load": "load",
    "synth_dataset": "data",
    "check_dataset": "data",
    "convert_dataset": "data",
    "prepare_crowdhuman": "data",
    "list_runs": "runs",
    "show_run": "runs",
    "remove_runs": "runs",
    "prune_runs": "runs",
    "bench_all": "bench",
    "bench_data": "bench",
    "bench_eval": "bench",
    "bench_infer": "bench",
    "bench_startup": "bench",
    "bench_train": "bench",
    "configs": "configs",
    "doctor": "doctor",
}


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"rgacli.api.{_FUNCTIONS[name]}"), name)
    globals()[name] = found  # found at once from now on
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
