# One head at 1:7.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=8, row="1:7, soft", AP=35.4)]

model = dict(roi_head=dict(ratios=["1:7"]))
