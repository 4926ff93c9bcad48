# Cascade R-CNN with RGA and PRM, ResNeXt-101 64x4d, 1x.
_base_ = "cascade-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=3, row="Cascade R-CNN w/ RGA+PRM, X-101", AP=45.3, AP50=64.0, AP75=49.5, APs=26.6, APm=48.1, APl=57.8)
]

model = dict(
    backbone=dict(
        type="ResNeXt", depth=101, groups=64, base_width=4, init_cfg=dict(checkpoint="open-mmlab://resnext101_64x4d")
    ),
    roi_head=dict(ratios=["1:1", "1:9"]),
)
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
