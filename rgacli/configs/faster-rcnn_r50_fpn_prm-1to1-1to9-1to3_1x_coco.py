# PRM with a third head, at 1:3.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=6, row="third head at 1:3, w/o RGA", AP=37.1, AP50=58.8, AP75=40.1)]

model = dict(roi_head=dict(ratios=["1:1", "1:9", "1:3"]))
