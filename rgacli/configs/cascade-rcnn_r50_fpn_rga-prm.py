# Cascade R-CNN with RGA and PRM, ResNet-50, 1x: for your own data.
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
baseline = dict(config="mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", AP=40.3)  # mmdet's metafile.yml

model = dict(roi_head=dict(type="ParallelCascadeRoIHead", ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
