"""What a training starts from: a checkpoint of a trained detector's weights, of which the run keeps its own."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config

from rgacli.config.dataset import class_names, dataset_config
from rgacli.config.recipe import parallel_ratios
from rgacli.files import replacing
from rgacli.messages import tell
from rgacli.modeling.build import build_detector
from rgacli.modeling.source_weights import SourceWeights, read_source
from rgacli.modeling.transfer import fit_config, transfer


def start_from(cfg: Config, weights: Path | str) -> SourceWeights:
    """Return the weights of a trained detector, and make a config's detector one that they fit, in place.

    Raises:
        UsageError: as `read_source`.
    """
    cfg.weights = str(weights)
    source = read_source_of(cfg)
    cfg.weights = str(source.path)  # a run tells where it started from
    tell(f"weights {source.path}")
    for line in fit_config(cfg, source):
        tell(line)
    return source


def read_source_of(cfg: Config) -> SourceWeights | None:
    """Return the weights that a run's config says it starts from; None where it starts from none.

    Raises:
        UsageError: as `read_source`.
    """
    if "weights" not in cfg:
        return None
    return read_source(cfg.weights, cascade="num_stages" in (cfg.model.get("roi_head") or {}))


def write_starting_weights(cfg: Config, source: SourceWeights, path: Path) -> list[str]:
    """Write the weights of a config's detector as it starts from a trained one.

    They are all in the file, those too that no trained ones were found for (initialised by the config's seed).

    Args:
        cfg: The config, as `start_from` left it.
        source: The trained detector.
        path: The file.

    Returns:
        What was loaded, copied, initialised anew and ignored, a line each.

    Raises:
        UsageError: as `transfer`, or the config makes no detector.
    """
    classes = class_names(dataset_config(cfg.train_dataloader))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.randomness.seed)
        model = build_detector(cfg, device="cpu")
    found = transfer(source, model, parallel_ratios(cfg), classes)
    lines = list(found.lines(classes))
    about = dict(weights=str(source.path), transfer=lines)
    meta = dict(dataset_meta=dict(classes=classes), cfg=cfg.pretty_text, epoch=0, iter=0, **about)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(dict(state_dict=found.weights, meta=meta), temporary)
    return lines
