# Faster R-CNN with RGA and PRM, ResNeXt-101 64x4d, 1x.
_base_ = "mmdet::faster_rcnn/faster-rcnn_x101-64x4d_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [
    dict(table=3, row="Faster R-CNN w/ RGA+PRM, X-101", AP=42.9, AP50=64.9, AP75=46.7, APs=25.6, APm=46.2, APl=53.7)
]

model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
