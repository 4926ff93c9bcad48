# Faster R-CNN with RGA and PRM, ResNet-50, 1x: the paper's main result.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=2, row="Faster R-CNN w/ RGA+PRM, R-50, 1x", AP=38.1, AP50=60.0, AP75=41.6),
    dict(table=6, row="two heads, w/ RGA", AP=38.1, AP50=60.0, AP75=41.6),
]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
