# Cascade R-CNN with RGA and PRM, ResNet-101, 1x.
_base_ = "cascade-rcnn_r101_fpn_1x_coco.py"
paper = [
    dict(table=3, row="Cascade R-CNN w/ RGA+PRM, R-101", AP=43.1, AP50=61.5, AP75=47.0, APs=24.1, APm=46.1, APl=55.4)
]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
