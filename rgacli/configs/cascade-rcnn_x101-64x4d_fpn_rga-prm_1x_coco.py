# Cascade R-CNN with RGA and PRM, ResNeXt-101 64x4d, 1x.
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_x101-64x4d_fpn_1x_coco.py"
custom_imports = dict(imports=["rgacli.core"], allow_failed_imports=False)
paper = [
    dict(table=3, row="Cascade R-CNN w/ RGA+PRM, X-101", AP=45.3, AP50=64.0, AP75=49.5, APs=26.6, APm=48.1, APl=57.8)
]

model = dict(roi_head=dict(type="ParallelCascadeRoIHead", ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
