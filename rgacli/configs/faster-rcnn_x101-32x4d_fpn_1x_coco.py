# Faster R-CNN, ResNeXt-101 32x4d, 1x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "mmdet::faster_rcnn/faster-rcnn_x101-32x4d_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [dict(table=2, row="Faster R-CNN, X-101-32x4d, 1x", AP=40.1, AP50=62.0, AP75=43.8)]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
