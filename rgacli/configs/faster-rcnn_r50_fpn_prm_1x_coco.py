# Faster R-CNN with PRM, ResNet-50, 1x.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=1, row="1:1 and 1:9", AP=37.3, AP_R1=37.0, AP_R2=36.9),
    dict(table=5, row="Faster R-CNN w/ PRM, 1:1 and 1:9", AP=37.3, AP_R1=37.0, AP_R2=36.9),
    dict(table=6, row="two heads, w/o RGA", AP=37.3, AP50=58.8, AP75=40.4),
]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
