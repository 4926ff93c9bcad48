# Table 2: Faster R-CNN w/ RGA+PRM, ResNet-50, 1x (AP 38.1 in the paper).
_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
