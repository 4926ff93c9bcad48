# Faster R-CNN, ResNet-50, 1x: the plain baseline, one head at 1:3 and no RGA.
_base_ = [
    "_base_/faster-rcnn_r50_fpn_v1.py",
    "mmdet::_base_/datasets/coco_detection.py",
    "_base_/schedule_1x_v1.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [
    dict(table=2, row="Faster R-CNN, R-50, 1x", AP=36.1, AP50=58.1, AP75=38.8),
    dict(table=4, row="λ0 1", AP=36.1, AP50=58.1, AP75=38.8),
    dict(table=8, row="1:3, soft", AP=36.1),
]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
