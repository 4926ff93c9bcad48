# Faster R-CNN, ResNet-101, 1x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [dict(table=3, row="Faster R-CNN*, R-101", AP=38.7, AP50=60.8, AP75=42.3, APs=22.3, APm=42.2, APl=48.5)]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
