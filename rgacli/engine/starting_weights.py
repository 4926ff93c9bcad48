"""What a training starts from: a checkpoint of a trained detector's weights, of which the run keeps its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from rgacli.config.dataset import class_names, dataset_config
from rgacli.config.recipe import parallel_ratios
from rgacli.errors import UsageError
from rgacli.files import replacing
from rgacli.messages import tell
from rgacli.modeling.build import build_detector
from rgacli.modeling.checkpoints import read_checkpoint
from rgacli.modeling.source_weights import SourceWeights, read_source
from rgacli.modeling.transfer import fit_config, transfer
from rgacli.wording import param


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


def start_from_own(cfg: Config) -> SourceWeights | None:
    """Do the same with the weights that a config names itself, as that of a run does which started from some.

    None where it names none.

    Raises:
        UsageError: as `start_from`; says how to go on.
    """
    if cfg.get("weights") is None:
        return None
    try:
        return start_from(cfg, cfg.weights)
    except UsageError as error:
        raise UsageError(
            f"the config starts from weights of its own: {error.message} Name others by {param('weights')}, or none by "
            f"{param('settings', 'weights=None')}."
        ) from error


def require_pretrained(cfg: Config) -> None:
    """Look for the files of weights that parts of a config's detector are initialised from (mmengine's `Pretrained`).

    Raises:
        UsageError: one is not there, is damaged, or would run code.
    """
    for key, init in _initialisations("model", cfg.model):
        checkpoint = init.get("checkpoint")
        if init.get("type") == "Pretrained" and isinstance(checkpoint, str) and "://" not in checkpoint:
            try:
                read_checkpoint(checkpoint)
            except UsageError as error:
                raise UsageError(f"{key}: {error.message}") from error


def _initialisations(key: str, part: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield key -> content of every `init_cfg` in a config's part, each of several too."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            own = f"{key}.{name}"
            if name == "init_cfg":
                inits = value if isinstance(value, list) else [value]
                yield from ((own, init) for init in inits if isinstance(init, Mapping))
            else:
                yield from _initialisations(own, value)
    elif isinstance(part, (list, tuple)):
        for number, value in enumerate(part):
            yield from _initialisations(f"{key}.{number}", value)


def read_source_of(cfg: Config) -> SourceWeights | None:
    """Return the weights that a run's config says it starts from; None where it starts from none.

    Raises:
        UsageError: as `read_source`.
    """
    if cfg.get("weights") is None:
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
