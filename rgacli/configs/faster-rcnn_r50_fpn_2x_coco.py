# Faster R-CNN, ResNet-50, 2x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [dict(table=2, row="Faster R-CNN, R-50, 2x", AP=37.3, AP50=59.0, AP75=40.5)]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
