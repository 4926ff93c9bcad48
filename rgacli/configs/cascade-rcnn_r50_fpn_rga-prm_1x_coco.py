# Cascade R-CNN with RGA and PRM, ResNet-50, 1x.
_base_ = "cascade-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=2, row="Cascade R-CNN w/ RGA+PRM, R-50, 1x", AP=41.7, AP50=60.0, AP75=45.5)]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
