# Faster R-CNN with RGA, ResNeXt-101 32x4d, 1x.
_base_ = "faster-rcnn_x101-32x4d_fpn_1x_coco.py"
paper = [dict(table=2, row="Faster R-CNN w/ RGA, X-101-32x4d, 1x", AP=41.0, AP50=63.2, AP75=45.1)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
