# PRM with heads at 1:1 and 1:1.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=5, row="Faster R-CNN w/ PRM, 1:1 and 1:1", AP=36.8, AP_R1=36.7, AP_R2=36.7)]

model = dict(roi_head=dict(ratios=["1:1", "1:1"]))
