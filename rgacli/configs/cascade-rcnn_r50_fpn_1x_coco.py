# Cascade R-CNN, ResNet-50, 1x: the plain baseline, one head per stage at 1:3 and no RGA.
_base_ = [
    "_base_/cascade-rcnn_r50_fpn_v1.py",
    "mmdet::_base_/datasets/coco_detection.py",
    "_base_/schedule_1x_v1.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [dict(table=2, row="Cascade R-CNN, R-50, 1x", AP=40.5, AP50=58.6, AP75=44.2)]

model = dict(roi_head=dict(type="ParallelCascadeRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
