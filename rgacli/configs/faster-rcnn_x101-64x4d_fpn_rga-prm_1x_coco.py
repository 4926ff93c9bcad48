# Faster R-CNN with RGA and PRM, ResNeXt-101 64x4d, 1x.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=3, row="Faster R-CNN w/ RGA+PRM, X-101", AP=42.9, AP50=64.9, AP75=46.7, APs=25.6, APm=46.2, APl=53.7)
]

model = dict(
    backbone=dict(
        type="ResNeXt", depth=101, groups=64, base_width=4, init_cfg=dict(checkpoint="open-mmlab://resnext101_64x4d")
    ),
    roi_head=dict(ratios=["1:1", "1:9"]),
)
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
