# Faster R-CNN, ResNet-50, on CrowdHuman's full bodies: the plain baseline, one head at 1:3 and no RGA.
_base_ = "_base_/faster-rcnn_r50_fpn_8xb2-30e_crowdhuman.py"
paper = [
    dict(table=7, row="Faster R-CNN, baseline in [23]", mMR=50.42, AP50=84.95),
    dict(table=7, row="Faster R-CNN*", mMR=47.42, AP50=85.02),
]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
