# Faster R-CNN with RGA and PRM, ResNeXt-101 32x4d, 1x.
_base_ = "faster-rcnn_x101-32x4d_fpn_1x_coco.py"
paper = [dict(table=2, row="Faster R-CNN w/ RGA+PRM, X-101-32x4d, 1x", AP=41.4, AP50=63.3, AP75=45.4)]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
