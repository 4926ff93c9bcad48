# Faster R-CNN with RGA, ResNet-50, 2x.
_base_ = "faster-rcnn_r50_fpn_2x_coco.py"
paper = [dict(table=2, row="Faster R-CNN w/ RGA, R-50, 2x", AP=38.4, AP50=59.9, AP75=41.8)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
