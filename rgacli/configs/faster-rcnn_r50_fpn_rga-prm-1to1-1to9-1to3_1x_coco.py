# RGA, and PRM with a third head, at 1:3.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=6, row="third head at 1:3, w/ RGA", AP=37.9, AP50=59.6, AP75=41.2)]

model = dict(roi_head=dict(ratios=["1:1", "1:9", "1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
