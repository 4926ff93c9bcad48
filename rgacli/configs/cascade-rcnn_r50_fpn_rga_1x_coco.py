# Cascade R-CNN with RGA, ResNet-50, 1x.
_base_ = "cascade-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=2, row="Cascade R-CNN w/ RGA, R-50, 1x", AP=41.1, AP50=59.8, AP75=44.8)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
