"""Detectors of random weights, and what mmdet's inference finds by them on random images."""

from __future__ import annotations

import copy

import torch
from mmengine.structures import InstanceData

from rgacli.evaluation.detections import Detections
from rgacli.inference.masks import paste_masks
from tests.support import tiny

FAMILIES = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco",
]
MASKS = ["mask_rcnn/mask-rcnn_r50_fpn_1x_coco", "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco"]


def scrambled(cfg):
    """The config's detector with weights under which boxes and scores vary, and finds."""
    cfg.model.test_cfg.rcnn.score_thr = 0.1
    return tiny.scramble(tiny.build(cfg.model)).eval()


def images(*sizes):
    """Images (3, H, W) float32 in [0, 255] of these heights and widths, no two alike."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, *size), generator=generator).float() for size in sizes]


def batch(*sizes):
    """Those images as a graph takes them: (N, 3, H, W), with noise where they end; and their sizes (N, 2)."""
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    pixels = torch.rand(len(sizes), 3, height, width, generator=torch.Generator().manual_seed(1)) * 255
    for row, image in zip(pixels, images(*sizes), strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return pixels, torch.tensor(sizes)


def mmdets_own(model, *sizes):
    """What mmdet's inference finds on those images, in one batch."""
    samples = copy.deepcopy(tiny.batch((1,) * len(sizes))["data_samples"])
    for sample, size in zip(samples, sizes, strict=True):
        sample.set_metainfo(dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    with torch.no_grad():
        found = model.test_step(dict(inputs=images(*sizes), data_samples=samples))
    return [detections(sample.pred_instances) for sample in found]


def of_graph(outputs, *sizes):
    """What a graph's outputs for those images say."""
    number, *rows = map(torch.as_tensor, outputs)
    found = []
    for image, (count, size) in enumerate(zip(number, sizes, strict=True)):
        boxes, scores, labels, *masks = (values[image, :count] for values in rows)
        instances = InstanceData(bboxes=boxes, scores=scores, labels=labels)
        if masks:
            instances.masks = torch.from_numpy(paste_masks(masks[0].numpy(), boxes.numpy(), size, 0.5))
        found.append(detections(instances))
    return found


def detections(instances):
    """mmdet's instances as detections."""
    boxes, scores, labels = (instances[key].numpy() for key in ("bboxes", "scores", "labels"))
    masks = instances.masks.numpy() if "masks" in instances else None
    return Detections(boxes, scores, labels, ("a", "b", "c"), masks)
