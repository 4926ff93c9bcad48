# RGA with λ0 5.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=4, row="λ0 5, annealed", AP=37.2, AP50=59.0, AP75=40.8)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=5.0)]
