"""What was trained on what, and by which versions: the facts that a report's numbers rest on."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import rgacli
from rgacli.config.recipe import describe_method
from rgacli.config.run_record import read_record
from rgacli.evaluation.max_dets import MaxDets
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.runs import Run

_PACKAGES = ("torch", "torchvision", "mmdet", "mmcv-lite", "hotcoco")


def facts_of(detectors: Mapping[str, SplitDetections], max_dets: MaxDets) -> dict[str, str]:
    """Return what a report says of its detectors and of the images that they were measured on: label -> text.

    Args:
        detectors: Name -> detector, all on the same split.
        max_dets: How many detections of an image count.
    """
    facts = {}
    for name, detector in detectors.items():
        facts[name] = "; ".join(_told(detector))
    first = next(iter(detectors.values()))
    truth = first.annotations
    objects = sum(not entry.get("iscrowd") for entry in truth["annotations"])
    classes = [category["name"] for category in truth["categories"]]
    named = f" ({', '.join(classes)})" if len(classes) <= 10 else ""
    facts["measured on"] = (
        f"{first.ann_file}: {len(truth['images'])} images, {objects} objects of {len(classes)} classes{named}"
    )
    facts["counted"] = (
        f"{max_dets.value} detections an image; {max_dets.benchmark}'s official number is {max_dets.official}"
    )
    versions = [f"{package} {importlib.metadata.version(package)}" for package in _installed()]
    facts["versions"] = ", ".join([f"rgacli {rgacli.__version__}", *versions])
    facts["date"] = date.today().isoformat()
    return facts


def _told(detector: SplitDetections) -> list[str]:
    told = [describe_method(detector.cfg)]
    run = Run(detector.home)
    if run.config.is_file():
        record = read_record(run)
        seed = (detector.cfg.get("randomness") or {}).get("seed")
        told += [f"config {record.config}"] * bool(record.config) + [f"data {record.data}"] * bool(record.data)
        told += [f"epoch {record.epoch} of {record.epochs}"] * bool(record.epochs and record.epoch)
        told += [f"seed {seed}"] * (seed is not None)
    return [*told, f"checkpoint {Path(detector.checkpoint).name}"]


def _installed() -> list[str]:
    there = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
    return [package for package in _PACKAGES if package in there]
