"""The contestants: this package's heads, mmdet's own classes, and torchvision's detector, of the same weights.

Those of mmdet's config are built by the recipe and the registry alone, as a training builds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, init_default_scope
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from rgacli.bench.scenes import Scene, for_mmdet
from rgacli.bench.settings import Settings
from rgacli.config.recipe import annealing_config, bbox_head_configs, set_method
from rgacli.engine.annealing import rcnn_parameters
from rgacli.engine.compiling import CompileHook
from rgacli.engine.precision import DTYPES, MixedPrecisionOptimWrapper, set_mixed_precision
from rgacli.errors import UsageError
from rgacli.method import LAMBDA0, parse_ratios
from rgacli.modeling.build import build_detector
from rgacli.modeling.fusing import fuse
from rgacli.modeling.source_weights import read_source
from rgacli.modeling.torchvision_weights import from_torchvision
from rgacli.modeling.transfer import fit_config, transfer

RATIOS = {"k1": ("1:3",), "k2": ("1:1", "1:9"), "k5": ("1:1", "1:3", "1:5", "1:7", "1:9")}
TITLES = {
    **{name: f"ours, K = {len(ratios)} at {', '.join(ratios)}" for name, ratios in RATIOS.items()},
    "stock": "mmdet's own classes, one head",
    "torchvision": "torchvision's fasterrcnn_resnet50_fpn",
}
UNEQUAL = (
    "torchvision crops RoIs with 2x2 samples a bin, unaligned; mmdet's config says how many (0: as many as fit).",
    "torchvision's batch norm is frozen whole; mmdet's has fixed statistics and trained scales.",
    "torchvision's losses are its own (smooth L1 with β 1/9 in both parts; mmdet's config mostly says L1).",
    "torchvision's images are turned into floats on the device; its SGD has momentum 0.9 and weight decay 0.0001.",
    "torchvision resizes inside, here to the same size; mmdet's images come resized from its loader.",
    "Ours trains with RGA and leaves each head's statistics; mmdet's own logs an accuracy.",
    "For inference, ours has its norm layers in its convolutions, as `eval` does it; the others have them beside.",
    "Each contestant draws its own RoIs: the numbers are equal, the boxes are not.",
    "The learning rate is 0, so that the weights stay what they are; the arithmetic is the same.",
)
_NOISE = 0.02  # of a tensor's own deviation: heads after the first are not copies of it

Part = tuple[Any, str, str]
"""An object, the name of a method of its, and what the time spent in it is called."""


class Contestant(ABC):
    """A detector that can be trained for a step and asked for detections on the same images again and again.

    Attributes:
        name: Of CONTESTANTS.
        model: The detector.
        heads: Its number of R-CNN heads.
    """

    name: str
    model: nn.Module
    heads: int = 1

    @abstractmethod
    def train_step(self) -> None:
        """Do all of a training step on the batch: preprocessing, forward, backward, RGA, optimizer."""

    @abstractmethod
    def predict(self) -> Any:
        """Detect on the batch."""

    @abstractmethod
    def forward_loss(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """Return what does the forward pass of a training step on preprocessed images."""

    @abstractmethod
    def forward_predict(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """Return what does a prediction on preprocessed images."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """Return the methods whose time is told apart; one that another calls is not part of it."""


class OfMMDet(Contestant):
    """A detector of an mmdet config, with parallel heads or without.

    Args:
        name: Of CONTESTANTS.
        cfg: The config; it is not changed.
        checkpoint: Weights of any number of heads; None for random ones.
        scenes: The batch.
        settings: Of the benchmark.
    """

    def __init__(
        self, name: str, cfg: Config, checkpoint: Path | None, scenes: Sequence[Scene], settings: Settings
    ) -> None:
        self.name = name
        self.cfg = cfg = cfg.copy()
        ratios = parse_ratios(list(RATIOS[name])) if name in RATIOS else ()
        if ratios:
            set_method(cfg, ratios=ratios, lambda0=LAMBDA0)
        else:
            set_method(cfg, rga=False, prm=False)
        self.heads = len(ratios) or 1
        source = read_source(checkpoint, cascade=False) if checkpoint else None
        cfg.model.backbone.init_cfg = None
        if source:
            fit_config(cfg, source)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = build_detector(cfg)
            if source:
                number = bbox_head_configs(cfg)[0].num_classes
                classes = source.classes or tuple(map(str, range(number)))
                self.model.load_state_dict(transfer(source, self.model, ratios, classes).weights)
            _part(self.model, self.heads)
        if settings.compile and ratios:
            CompileHook().before_train(SimpleNamespace(model=self.model))
        self._amp = settings.amp
        self._bgr = bool(cfg.model.data_preprocessor.get("bgr_to_rgb"))
        self._train, self._test = (for_mmdet(scenes, bgr=self._bgr) for _ in range(2))
        self.optim_wrapper = self._optim_wrapper()
        self.rga = self._rga()

    def train_step(self) -> None:
        """See Contestant."""
        self.model.train()
        if self.rga:
            self.rga.before_train_iter(self.runner, 0)
        self.model.train_step(self._train, self.optim_wrapper)

    def predict(self, *, every_head: bool = False) -> Any:
        """See Contestant.

        Args:
            every_head: Have each head's own detections, too, as an evaluation of all heads has.
        """
        self.model.eval()
        if self.heads > 1:
            self.model.roi_head.keep_heads = every_head
        with torch.no_grad(), autocast(self._amp):
            return self.model.test_step(self._test)

    def only_detect(self) -> None:
        """Become what an evaluation makes of a detector of ours; it cannot be trained any more."""
        if self.name in RATIOS:
            fuse(self.model.eval())

    def forward_loss(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """See Contestant."""
        self.model.train()
        data = self.model.data_preprocessor(for_mmdet(scenes, bgr=self._bgr), True)
        return lambda: self.model(**data, mode="loss")

    @torch.no_grad()
    def forward_predict(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """See Contestant."""
        self.model.eval()
        if self.heads > 1:
            self.model.roi_head.keep_heads = False
        data = self.model.data_preprocessor(for_mmdet(scenes, bgr=self._bgr), False)
        return torch.no_grad()(lambda: self.model(**data, mode="predict"))

    def parts(self) -> list[Part]:
        """See Contestant."""
        model, ours = self.model, self.name in RATIOS
        heads = model.roi_head.bbox_head if ours else [model.roi_head.bbox_head]
        found = [
            (model, "train_step", "other"),
            (model, "test_step", "other"),
            # Ours may do itself what mmdet's detector has its RPN head do.
            (model, "loss", "RPN targets, losses and proposals" if ours else "other"),
            (model, "predict", "proposal selection" if ours else "other"),
            (model.data_preprocessor, "forward", "preprocessing"),
            (model, "extract_feat", "backbone and neck"),
            (model.rpn_head, "forward", "RPN"),
            (model.rpn_head, "loss_by_feat", "RPN targets and losses"),
            (model.rpn_head, "predict_by_feat", "proposal selection"),
            *((model.roi_head, name, "RoI sampling and losses") for name in _losses(model.roi_head)),
            (model.roi_head, "predict", "decoding and NMS"),
            *([(model.roi_head, "_roi_features", "RoI crop")] if ours else []),
            (model.roi_head.bbox_roi_extractor, "forward", "RoI crop"),
            *((head, "forward", "heads") for head in heads),
            (self.optim_wrapper, "backward", "backward"),
        ]
        # RGA's hook has put itself around the optimizer's step.
        name = "RGA and optimizer" if self.rga else "optimizer"
        return [*found, *((self.optim_wrapper, method, name) for method in ("step", "zero_grad"))]

    def scale_gradients(self) -> Callable[[], Any]:
        """Return what RGA does in a step, on the heads' real parameters."""
        gradients = [torch.zeros_like(each) for each in rcnn_parameters(self.model) if each.requires_grad]
        return lambda: torch._foreach_mul_(gradients, LAMBDA0)

    def _optim_wrapper(self) -> Any:
        cfg = Config(dict(optim_wrapper=self.cfg.optim_wrapper.to_dict()))
        cfg.optim_wrapper.optimizer.lr = 0.0
        if self._amp:
            set_mixed_precision(cfg, self._amp)
            if self.name == "stock" and get_device() == "cuda":
                cfg.optim_wrapper.type = "AmpOptimWrapper"
        return build_optim_wrapper(self.model, cfg.optim_wrapper)

    def _rga(self) -> Any:
        """Return RGA's hook, hung into the optimizer wrapper as a training does it; None where the config has none."""
        own = annealing_config(self.cfg)
        if not own:
            return None
        hub = MessageHub.get_instance("rgacli-bench")
        self.runner = SimpleNamespace(
            model=self.model, optim_wrapper=self.optim_wrapper, iter=0, max_iters=1000, message_hub=hub
        )
        hook = HOOKS.build(own)
        hook.before_train(self.runner)
        return hook


class OfTorchvision(Contestant):
    """torchvision's Faster R-CNN with the weights, thresholds and limits of an mmdet detector.

    Args:
        stock: The detector, with one head.
        scenes: The batch.
        settings: Of the benchmark.

    Raises:
        UsageError: torchvision has no such detector.
    """

    name = "torchvision"

    def __init__(self, stock: OfMMDet, scenes: Sequence[Scene], settings: Settings) -> None:
        self._amp, self._device = settings.amp, get_device()
        with torch.random.fork_rng():
            self.model = _torchvision_detector(stock.cfg, settings.size)
        own = {name: value.cpu() for name, value in stock.model.state_dict().items()}
        self.model.load_state_dict(to_torchvision(own, self.model.state_dict()))
        self.model.to(self._device).eval()
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # As the config has it: mmdet's Faster R-CNN configs train by SGD.
        optimizer = torch.optim.SGD(trained, lr=0.0, momentum=0.9, weight_decay=1e-4)
        own = dict(dtype=DTYPES[settings.amp]) if settings.amp else {}
        kind = MixedPrecisionOptimWrapper if settings.amp else build_wrapper
        self.optim_wrapper = kind(optimizer=optimizer, **own)
        self._scenes = list(scenes)

    def train_step(self) -> None:
        """See Contestant."""
        self.model.train()
        images, targets = self._inputs(self._scenes)
        with self.optim_wrapper.optim_context(self.model):
            losses = self.model(images, targets)
        self.optim_wrapper.update_params(sum(losses.values()))

    def predict(self) -> Any:
        """See Contestant."""
        self.model.eval()
        images, _ = self._inputs(self._scenes)
        with torch.no_grad(), autocast(self._amp):
            return self.model(images)

    def forward_loss(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """See Contestant."""
        self.model.train()
        images, targets = self._inputs(scenes)
        return lambda: self.model(images, targets)

    def forward_predict(self, scenes: Sequence[Scene]) -> Callable[[], Any]:
        """See Contestant."""
        self.model.eval()
        images, _ = self._inputs(scenes)
        return torch.no_grad()(lambda: self.model(images))

    def parts(self) -> list[Part]:
        """See Contestant."""
        model = self.model
        selection = "proposal selection, RPN targets and losses"
        return [
            (self, "_inputs", "preprocessing"),
            (model.transform, "forward", "preprocessing"),
            (model.transform, "postprocess", "decoding and NMS"),
            (model.backbone, "forward", "backbone and neck"),
            (model.rpn, "forward", selection),
            (model.rpn.head, "forward", "RPN"),
            (model.roi_heads, "forward", "RoI sampling, losses, decoding and NMS"),
            (model.roi_heads.box_roi_pool, "forward", "RoI crop"),
            (model.roi_heads.box_head, "forward", "heads"),
            (model.roi_heads.box_predictor, "forward", "heads"),
            (self.optim_wrapper, "backward", "backward"),
            (self.optim_wrapper, "zero_grad", "optimizer"),
            (self.optim_wrapper, "step", "optimizer"),
        ]

    def _inputs(self, scenes: Sequence[Scene]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        images = [scene.pixels.to(self._device).float() / 255 for scene in scenes]
        targets = [
            dict(boxes=scene.boxes.to(self._device), labels=scene.labels.to(self._device) + 1) for scene in scenes
        ]
        return images, targets


def contestants(
    names: Sequence[str], cfg: Config, checkpoint: Path | None, scenes: Sequence[Scene], settings: Settings
) -> Iterator[Contestant]:
    """Yield the contestants that are named, each when it is asked for.

    Args:
        names: Of CONTESTANTS.
        cfg: What all but torchvision's are built by.
        checkpoint: The weights that all share; None for random ones.
        scenes: The batch.
        settings: Of the benchmark.

    Raises:
        UsageError: as `transfer`, or torchvision has no such detector.
    """
    init_default_scope("mmdet")
    stock = None
    for name in names:
        if name != "torchvision":
            made = OfMMDet(name, cfg, checkpoint, scenes, settings)
            stock = made if name == "stock" else stock
            yield made
        else:
            yield OfTorchvision(stock or OfMMDet("stock", cfg, checkpoint, scenes, settings), scenes, settings)


def build_wrapper(optimizer: torch.optim.Optimizer) -> Any:
    """Return mmengine's plain wrapper of an optimizer."""
    from mmengine.optim import OptimWrapper

    return OptimWrapper(optimizer)


@contextmanager
def autocast(amp: str | None) -> Iterator[None]:
    """Run a block in mixed precision ("fp16", "bf16"), or as it is."""
    with torch.autocast(get_device(), getattr(torch, DTYPES[amp])) if amp else nullcontext():
        yield


def to_torchvision(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of mmdet's Faster R-CNN by torchvision's names: the inverse of `from_torchvision`.

    Args:
        weights: mmdet's, of one head.
        own: torchvision's state dict, whose names and shapes are to be filled.

    Raises:
        UsageError: they are of another architecture.
    """
    found = {}
    for name, value in own.items():
        (theirs,) = from_torchvision({name: value})
        trained = weights.get(theirs)
        if trained is not None and ".fc_cls." in theirs:
            trained = torch.cat([trained[-1:], trained[:-1]])  # torchvision's background is class 0
        elif trained is not None and ".fc_reg." in theirs:
            trained = torch.cat([trained.new_zeros(4, *trained.shape[1:]), trained])  # and has a regression, unused
        if trained is None or trained.shape != value.shape:
            raise UsageError(f"torchvision's Faster R-CNN has {name} {tuple(value.shape)}, which the weights lack.")
        found[name] = trained
    return found


def is_resnet50_fpn(cfg: Config) -> bool:
    """Return whether a config's detector is built like torchvision's."""
    backbone, neck = cfg.model.backbone, cfg.model.get("neck") or {}
    return (backbone.type, backbone.get("depth"), neck.get("type")) == ("ResNet", 50, "FPN")


def _torchvision_detector(cfg: Config, size: tuple[int, int]) -> FasterRCNN:
    """Return torchvision's detector by a config's thresholds and limits."""
    model = cfg.model
    if not is_resnet50_fpn(cfg):
        raise UsageError("torchvision's contestant is a ResNet-50 with FPN, and the config's detector is none.")
    train, test, head = model.train_cfg, model.test_cfg, bbox_head_configs(cfg)[0]
    trained_stages = 4 - max(0, model.backbone.get("frozen_stages", -1))
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=trained_stages
    )
    return FasterRCNN(
        backbone,
        head.num_classes + 1,
        min_size=min(size),
        max_size=max(size),
        rpn_pre_nms_top_n_train=train.rpn_proposal.nms_pre,
        rpn_post_nms_top_n_train=train.rpn_proposal.max_per_img,
        rpn_pre_nms_top_n_test=test.rpn.nms_pre,
        rpn_post_nms_top_n_test=test.rpn.max_per_img,
        rpn_nms_thresh=test.rpn.nms.iou_threshold,
        box_score_thresh=test.rcnn.score_thr,
        box_nms_thresh=test.rcnn.nms.iou_threshold,
        box_detections_per_img=test.rcnn.max_per_img,
        box_batch_size_per_image=train.rcnn.sampler.num,
    )


def _losses(roi_head: nn.Module) -> list[str]:
    """Return the methods that a RoI head's losses may come from: for a whole batch, where it has such a one."""
    return [name for name in ("loss", "batched_loss") if hasattr(roi_head, name)]


@torch.no_grad()
def _part(model: nn.Module, heads: int) -> None:
    """Move the heads after the first a little away from what they started from."""
    for head in list(model.roi_head.bbox_head)[1:] if heads > 1 else ():
        for parameter in head.parameters():
            scale = _NOISE * parameter.std() if parameter.numel() > 1 else 0.0
            parameter.add_(torch.randn_like(parameter) * scale)
