# One head at 1:5.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=8, row="1:5, soft", AP=35.7)]

model = dict(roi_head=dict(ratios=["1:5"]))
