# Cascade R-CNN, ResNet-101, 1x: the plain baseline, one head per stage at 1:3 and no RGA.
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [dict(table=3, row="Cascade R-CNN*, R-101", AP=42.1, AP50=61.0, AP75=46.0, APs=23.5, APm=45.5, APl=54.7)]

model = dict(roi_head=dict(type="ParallelCascadeRoIHead", ratios=["1:3"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=1.0)]
