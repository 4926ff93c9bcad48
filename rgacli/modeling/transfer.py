"""Starting from a trained detector: its one R-CNN head onto K parallel ones, its classes onto others.

Copying a head K times is the inverse of folding (`folding`): the copies' average detects what the one head does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmdet.models.roi_heads import CascadeRoIHead
from mmengine.config import Config
from torch import Tensor, nn

from rgacli.config.recipe import bbox_head_configs
from rgacli.errors import UsageError
from rgacli.method import SamplingRatio, box_head_index, head_names
from rgacli.modeling.checkpoints import misfits
from rgacli.modeling.class_layers import carry_rows, has_rows_by_class, is_class_layer
from rgacli.modeling.source_weights import BBOX_HEAD, SourceWeights, Weights, bbox_heads
from rgacli.modeling.torchvision_weights import ROI_LAYER
from rgacli.wording import param, some

_FEATURES = ("backbone.", "neck.", "rpn_head.")
_DENSE_HEAD = "bbox_head."  # of a one-stage detector, most of whose layers are by class
_COUNTER = "num_batches_tracked"  # older files have none


@dataclass
class Transfer:
    """What a detector starts from.

    Attributes:
        weights: Of the whole detector, by its own names.
        copied: Head -> the trained head that it starts from; empty where both have one.
        kept: Classes whose trained rows are kept; None where the classes are the same.
        fresh: Modules that the trained detector has not, which start from nothing -> number of tensors.
        ignored: Modules that the trained detector alone has -> number of tensors.
        classes_known: Whether the checkpoint names its classes.
    """

    weights: Weights
    copied: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] | None = None
    fresh: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    classes_known: bool = True

    def lines(self, classes: Sequence[str]) -> Iterator[str]:
        """Yield what was loaded, copied, initialised anew and ignored, a line each; `classes` are the detector's."""
        yield f"loaded: {len(self.weights) - self.fresh.total()} of the detector's {len(self.weights)} tensors"
        if self.copied:
            yield "copied: " + ", ".join(f"head {head} from {source}" for head, source in self.copied.items())
        if not self.classes_known:
            yield "the file names no classes: " + (
                "they are taken for the dataset's, in their order"
                if self.kept is None
                else "no class's layers are kept"
            )
        if self.kept is not None:
            others = [name for name in classes if name not in self.kept]
            kept = f"; kept: {some(self.kept)}" if self.kept else ""
            yield (
                f"initialised anew: the class layers of {some(others)}{kept}"
                if others
                else (f"kept: the class layers of {some(self.kept)}")
            )
        if self.fresh:
            yield f"initialised anew: {_modules(self.fresh)}, which the weights lack or have for other classes"
        if self.ignored:
            yield f"ignored: {_modules(self.ignored)}, which the detector lacks"


def fit_config(cfg: Config, source: SourceWeights) -> list[str]:
    """Make a config's detector one that the weights fit, in place: no more than what cannot change what it detects.

    Hidden layers as wide as the trained head's, which a folded one's are K times; RoIs aligned as torchvision does
    under its weights; no download of a backbone.

    Returns:
        A line for each thing that is changed.
    """
    told = []
    cfg.model.backbone.init_cfg = None
    heads = bbox_head_configs(cfg)
    old = {head.get("fc_out_channels", 1024) for head in heads if "Shared" in head.get("type", "")}
    if source.hidden_width and old and old != {source.hidden_width}:
        for head in heads:
            head.fc_out_channels = source.hidden_width
        told.append(f"hidden layers of the heads: {source.hidden_width} features, as the weights have")
    if source.torchvision and heads:
        for name in ("bbox_roi_extractor", "mask_roi_extractor"):
            if extractor := cfg.model.roi_head.get(name):
                extractor.roi_layer.update(ROI_LAYER)
        told.append("RoI alignment: torchvision's (aligned=False, 2x2 samples), as under its weights")
    return told


def transfer(
    source: SourceWeights, model: nn.Module, ratios: Sequence[SamplingRatio], classes: Sequence[str]
) -> Transfer:
    """Return what a detector starts from.

    Args:
        source: The trained detector.
        model: The detector, freshly initialised.
        ratios: Of its parallel heads; none where its RoI head is mmdet's own.
        classes: Its class names, by label.

    Raises:
        UsageError: the weights are of another architecture: other backbone, neck, RPN or hidden layers, other stages,
            or several heads of which the file does not tell which is which.
    """
    fresh = model.state_dict()
    cascade = isinstance(getattr(model, "roi_head", None), CascadeRoIHead)
    old = source.classes
    if old is None and _same_shapes(source, fresh, cascade):
        old = tuple(classes)
    same = old == tuple(classes)
    kept = None if same else tuple(name for name in classes if name in set(old or ()))
    found = Transfer({}, kept=kept, classes_known=source.classes is not None)
    candidates = dict(source.rest)
    if own := bbox_heads(fresh, cascade=cascade):
        sources, found.copied = _sources(source, own, ratios)
        for stage, chosen in enumerate(sources):
            for k, head in enumerate(chosen):
                prefix = BBOX_HEAD + (f"{stage}." if cascade else "") + (f"{k}." if ratios else "")
                candidates |= {prefix + name: value for name, value in head.items()}
    for name, value in fresh.items():
        trained = candidates.pop(name, None)
        if trained is None or (trained.shape != value.shape and name.startswith(_DENSE_HEAD)):
            found.weights[name] = value
            if not name.endswith(_COUNTER):
                found.fresh[_module(name)] += 1
        elif is_class_layer(name) and not (same and trained.shape == value.shape):
            found.weights[name] = carry_rows(
                name, trained, value, old, classes, by_class=has_rows_by_class(name, model)
            )
            if same and found.weights[name] is value:  # such as a class-agnostic regressor's, for one by class
                found.fresh[_module(name)] += 1
        else:
            found.weights[name] = trained
    found.ignored = Counter(_module(name) for name in candidates)
    _require_fit(source, fresh, found, candidates)
    return found


def _sources(
    source: SourceWeights, own: Sequence[Sequence[Weights]], ratios: Sequence[SamplingRatio]
) -> tuple[list[list[Weights]], dict[str, str]]:
    """Return the trained head that each head starts from, by [stage][k], and head -> its name, where it is told."""
    stages, number = source.bbox_heads, len(source.bbox_heads[0]) if source.bbox_heads else 0
    if len(stages) != len(own):
        raise UsageError(
            f"weights {source.path} are of a detector of {_stages(len(stages))}, and the config's has {len(own)}: take "
            "a config of the same kind."
        )
    if number == 1:
        chosen, names = [0] * len(own[0]), ("the one head",)
    elif source.ratios:
        names = head_names(source.ratios)
        wanted = dict(zip(head_names(ratios), ratios, strict=True))
        chosen = [_closest(name, ratio, source.ratios) for name, ratio in wanted.items()]
        chosen = chosen or [box_head_index(source.ratios)]
    elif number == len(own[0]):
        chosen, names = list(range(number)), tuple(f"head {k}" for k in range(number))
    else:
        raise UsageError(
            f"weights {source.path} have {number} heads a stage and do not tell their ratios; the config's detector "
            f"has {len(own[0])}: give {param('ratios')} of as many."
        )
    targets = head_names(ratios) if ratios else ("of the detector",)
    told = dict(zip(targets, (names[k] for k in chosen), strict=True)) if max(number, len(own[0])) > 1 else {}
    return [[heads[k] for k in chosen] for heads in stages], told


def _closest(name: str, ratio: SamplingRatio, ratios: Sequence[SamplingRatio]) -> int:
    """Return the index of the trained head of the same name, else of the closest positive fraction (the first)."""
    names = head_names(ratios)
    if name in names:
        return names.index(name)
    return min(range(len(ratios)), key=lambda k: abs(ratios[k].positive_fraction - ratio.positive_fraction))


def _same_shapes(source: SourceWeights, fresh: Mapping[str, Tensor], cascade: bool) -> bool:
    """Return whether the trained head tells as many classes apart as the detector's."""
    own, trained = bbox_heads(fresh, cascade=cascade), source.bbox_heads
    if not own or not trained:
        return all(fresh[name].shape == value.shape for name, value in source.rest.items() if name in fresh)
    return all(
        trained[0][0][name].shape == own[0][0][name].shape
        for name in own[0][0]
        if is_class_layer(name) and name in trained[0][0]
    )


def _require_fit(
    source: SourceWeights, fresh: Mapping[str, Tensor], found: Transfer, ignored: Mapping[str, Tensor]
) -> None:
    """Raise a UsageError unless all that is loaded has the detector's shapes, and its features and heads are loaded."""
    strict = (*_FEATURES, BBOX_HEAD)
    given = {name: value for name, value in ignored.items() if name.startswith(strict)}
    given |= {name: value for name, value in found.weights.items() if value is not fresh[name]}
    own = {
        name: value
        for name, value in fresh.items()
        if name in given or (name.startswith(strict) and not is_class_layer(name) and not name.endswith(_COUNTER))
    }
    if wrong := "; this ".join(misfits(own, given)):
        raise UsageError(
            f"weights {source.path} are of another architecture than the config's: this {wrong}. Take a config of the "
            f"trained detector's kind, or set its sizes by {param('settings')}."
        )


def _module(name: str) -> str:
    """Return the part of a detector that a tensor is of: "backbone", "roi_head.mask_head"."""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] == "roi_head" else 1])


def _modules(numbers: Counter[str]) -> str:
    return ", ".join(f"{module} ({number} tensors)" for module, number in numbers.items())


def _stages(number: int) -> str:
    return f"{number} stage{'s' * (number > 1)}" if number else "no R-CNN stage"
