"""Where an export comes from: the run, its method, and what it was worth."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

import rgacli
from rgacli.config.dataset import annotation_file
from rgacli.config.recipe import annealing_config, describe_method, parallel_ratios
from rgacli.evaluation.detect import saved_metrics
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.export.exported_head import ExportedHead
from rgacli.messages import tell
from rgacli.wording import function


def export_provenance(source: SplitDetections, head: ExportedHead) -> dict[str, Any]:
    """Return what an export says of its origin, in JSON's types; of what is an export itself, that one's origin.

    Args:
        source: The detector, on the split that its metrics are taken from, where they are on disk.
        head: What of the detector is exported.
    """
    if "provenance" in source.cfg:
        return source.cfg.provenance.to_dict()
    ann_file, metrics, max_dets = annotation_file(source.dataset), {}, None
    if Path(ann_file).is_file():
        metrics, max_dets = saved_metrics(source.trained, ann_file, source.folder)
    measured = {name: value for name, value in metrics.get(head.variant, {}).items() if not isnan(value)}
    if not measured:
        tell(
            f"{source.name}: without metrics, as there are none on the {source.split} split "
            f"({function('evaluate')} makes them)"
        )
    return {
        "rgacli": rgacli.__version__,
        "run": source.name,
        "checkpoint": source.checkpoint.name,
        "trained": describe_method(source.cfg),
        "ratios": [str(ratio) for ratio in parallel_ratios(source.cfg)],
        "lambda0": annealing_config(source.cfg).get("lambda0", 1.0),  # 1 is no RGA
        "exported": head.name,
        "measured_on": ann_file if measured else None,
        "max_dets": max_dets if measured else None,
        "metrics": measured,
    }
