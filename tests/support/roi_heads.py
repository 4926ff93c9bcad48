"""mmdet's RoI heads, shrunk, with parallel heads and as they are, run on random features and proposals."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Sequence

import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.config import Config
from torch import Tensor, nn

from rgacli.engine.annealing import rcnn_parameters
from rgacli.modeling.label_and_sample import SamplingResults, label_and_sample
from tests.support import tiny
from tests.support.families import family

CASCADE = "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco"
CASCADE_MASK = "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco"
FASTER = "faster_rcnn/faster-rcnn_r50_fpn_1x_coco"
LIBRA = "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco"
MASK = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco"
MASK_C4 = "mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco"
OHEM = "faster_rcnn/faster-rcnn_r50_fpn_ohem_1x_coco"
SABL = "sabl/sabl-faster-rcnn_r50_fpn_1x_coco"
SABL_CASCADE = "sabl/sabl-cascade-rcnn_r50_fpn_1x_coco"
SEESAW = "seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1"
SEESAW_CASCADE = "seesaw_loss/cascade-mask-rcnn_r101_fpn_seesaw-loss_random-ms-2x_lvis-v1"

IMAGES = (3, 1)
"""How many objects the images have, unless a test says otherwise."""
STATISTICS = {"positives", "negatives", "acc_pos", "acc_neg"}

_PARALLEL = {"StandardRoIHead": "ParallelRoIHead", "CascadeRoIHead": "ParallelCascadeRoIHead"}


def short(name: str) -> str:
    """A config's name in a test's."""
    return name.rpartition("/")[2]


def mmdet_config(name: str, bbox_head: dict | None = None, sampler: dict | None = None) -> Config:
    """One of mmdet's configs, shrunk; `bbox_head` and `sampler` are changes at every stage."""
    cfg = copy.deepcopy(_shrunk_config(name))
    for head in _listed(cfg.model.roi_head.bbox_head):
        head.update(bbox_head or {})
    for train_cfg in _listed(cfg.model.train_cfg.rcnn):
        train_cfg.sampler.update(sampler or {})
    return cfg


def parallel_config(cfg: Config, ratios: Sequence[str] = ("1:1", "1:9"), **roi_head: object) -> Config:
    """The same with parallel heads; `roi_head` are arguments of the RoI head."""
    cfg = copy.deepcopy(cfg)
    cfg.model.roi_head.update(type=_PARALLEL[cfg.model.roi_head.type], ratios=list(ratios), **roi_head)
    return cfg


@functools.cache
def _shrunk_config(name: str) -> Config:
    cfg = family(name)
    roi_head = cfg.model.roi_head
    if "shared_head" in roi_head:  # C4: a convolution in place of ResNet's last stage
        channels = tiny.CHANNELS
        roi_head.shared_head = dict(type="Conv2d", in_channels=channels, out_channels=channels, kernel_size=1, stride=2)
        roi_head.bbox_roi_extractor.out_channels = channels
        roi_head.bbox_head.in_channels = roi_head.mask_head.in_channels = channels
    return cfg


def _listed(config: object) -> list:
    return config if isinstance(config, list) else [config]


def with_stds(bbox_head: dict, std: float) -> dict:
    """A bbox head's config whose regression is in units of `std` of a box's size."""
    return dict(bbox_head, bbox_coder=dict(bbox_head["bbox_coder"], target_stds=[std] * 4))


def make(
    name: str,
    ratios: Sequence[str] = ("1:1", "1:9"),
    bbox_head: dict | None = None,
    sampler: dict | None = None,
    seed: int = 0,
    **roi_head: object,
) -> nn.Module:
    """A RoI head with parallel heads, of random weights; arguments as for `mmdet_config` and `parallel_config`."""
    return tiny.build_roi_head(parallel_config(mmdet_config(name, bbox_head, sampler), ratios, **roi_head), seed)


# --- running a RoI head on random features


def data(counts: Sequence[int] = IMAGES) -> tuple[list[DetDataSample], tuple[Tensor, ...]]:
    """Data samples with masks, and feature maps."""
    return tiny.batch(tuple(counts), masks=True)["data_samples"], tiny.features(len(counts))


def roi_losses(
    head: nn.Module, counts: Sequence[int] = IMAGES, near: int = 6, elsewhere: int = 30, seed: int = 0
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """Losses on random features and proposals, and the features."""
    samples, x = data(counts)
    torch.manual_seed(seed)
    return head.loss(x, tiny.proposals(samples, near, elsewhere), samples), x


def roi_predictions(
    head: nn.Module, counts: Sequence[int] = IMAGES, near: int = 6, elsewhere: int = 30, **predict: object
) -> tuple[InstanceList, list[DetDataSample]]:
    """The ensemble's detections per image, and the data samples they were made for.

    The images were 32 pixels wide and 128 high before they became 64 x 64.
    """
    samples, x = data(counts)
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(2.0, 0.5), ori_shape=(2 * tiny.SIZE, tiny.SIZE // 2)))
    with torch.no_grad():
        return head.eval().predict(x, tiny.proposals(samples, near, elsewhere), samples, **predict), samples


def sampling_results_of(head: nn.Module, x: tuple[Tensor, ...], samples: list[DetDataSample]) -> SamplingResults:
    """Return what each head of a RoI head without stages samples in each image."""
    gts, gts_ignored, _ = unpack_gt_instances(samples)
    return label_and_sample(head.bbox_assigner, head.bbox_samplers, x, tiny.proposals(samples), gts, gts_ignored)


def proposal_rois(samples: list[DetDataSample]) -> Tensor:
    """(N, 5), the proposals that `roi_predictions` looks at."""
    return bbox2roi([result.bboxes for result in tiny.proposals(samples)])


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of the losses among the entries."""
    return sum(value for name, value in losses.items() if "loss" in name)


@contextlib.contextmanager
def counted_calls(*modules: nn.Module) -> Iterator[list[int]]:
    """Yields a list with how often each module was called."""
    counts = [0] * len(modules)

    def count(index):
        def hook(*_):
            counts[index] += 1

        return hook

    handles = [module.register_forward_hook(count(index)) for index, module in enumerate(modules)]
    yield counts
    for handle in handles:
        handle.remove()


def scaled_parameters(head: nn.Module) -> set[str]:
    """The names of the parameters whose gradients RGA multiplies."""
    detector = nn.Module()
    detector.roi_head = head
    chosen = set(map(id, rcnn_parameters(detector)))
    return {name for name, parameter in head.named_parameters() if id(parameter) in chosen}
