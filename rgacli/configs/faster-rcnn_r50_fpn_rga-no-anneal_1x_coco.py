# RGA without annealing: λ stays at 7.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=4, row="λ0 7, not annealed", AP=36.7, AP50=58.5, AP75=39.8)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0, anneal="none")]
