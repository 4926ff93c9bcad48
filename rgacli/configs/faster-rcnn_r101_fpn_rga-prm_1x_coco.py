# Faster R-CNN with RGA and PRM, ResNet-101, 1x.
_base_ = "faster-rcnn_r101_fpn_1x_coco.py"
paper = [
    dict(table=3, row="Faster R-CNN w/ RGA+PRM, R-101", AP=40.2, AP50=62.1, AP75=43.9, APs=23.4, APm=43.6, APl=50.7)
]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
