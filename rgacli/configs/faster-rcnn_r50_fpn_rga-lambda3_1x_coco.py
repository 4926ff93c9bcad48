# RGA with λ0 3.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=4, row="λ0 3, annealed", AP=36.9, AP50=59.0, AP75=40.2)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=3.0)]
