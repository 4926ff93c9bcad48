# Faster R-CNN with RGA, ResNet-50, 1x.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=2, row="Faster R-CNN w/ RGA, R-50, 1x", AP=37.3, AP50=59.4, AP75=40.8),
    dict(table=4, row="λ0 7, annealed", AP=37.3, AP50=59.4, AP75=40.6),
]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
