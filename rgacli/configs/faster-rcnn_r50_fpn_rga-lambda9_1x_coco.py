# RGA with λ0 9.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=4, row="λ0 9, annealed", AP=37.2, AP50=59.3, AP75=40.0)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=9.0)]
