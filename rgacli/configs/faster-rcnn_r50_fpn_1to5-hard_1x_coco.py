# One head at 1:5, positives repeated until the ratio is met.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=8, row="1:5, hard", AP=35.5)]

model = dict(roi_head=dict(ratios=["1:5"], sampling="hard"))
