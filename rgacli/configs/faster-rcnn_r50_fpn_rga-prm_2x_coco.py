# Faster R-CNN with RGA and PRM, ResNet-50, 2x.
_base_ = "faster-rcnn_r50_fpn_2x_coco.py"
paper = [dict(table=2, row="Faster R-CNN w/ RGA+PRM, R-50, 2x", AP=39.0, AP50=60.5, AP75=42.3)]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
