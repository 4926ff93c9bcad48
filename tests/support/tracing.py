"""Detectors of random weights, and what mmdet's inference finds by them on random images."""

from __future__ import annotations

import torch

from rgacli.evaluation.detections import Detections
from tests.support import tiny

FAMILIES = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco",
]


def scrambled(cfg):
    """The config's detector with weights under which boxes and scores vary, and finds."""
    cfg.model.test_cfg.rcnn.score_thr = 0.1
    return tiny.scramble(tiny.build(cfg.model)).eval()


def image(height, width, seed=0):
    """(1, 3, H, W) float32 in [0, 255]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, height, width), generator=generator).float()


def mmdets_own(model, pixels):
    """What mmdet's inference finds."""
    sample = tiny.batch((1,))["data_samples"][0]
    shape = tuple(pixels.shape[-2:])
    sample.set_metainfo(dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
    with torch.no_grad():
        (found,) = model.test_step(dict(inputs=[pixels[0]], data_samples=[sample]))
    found = found.pred_instances
    return detections(found.bboxes, found.scores, found.labels)


def detections(boxes, scores, labels):
    """Tensors as detections."""
    return Detections(boxes.numpy(), scores.numpy(), labels.numpy(), classes=("a", "b", "c"))
