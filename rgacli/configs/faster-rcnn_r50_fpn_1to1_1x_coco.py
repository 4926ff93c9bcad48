# One head at 1:1; beside one at 1:9, the first of Table 5's two separate detectors.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=1, row="1:1 alone", AP=36.3),
    dict(table=5, row="Faster R-CNN, 1:1", AP=36.3),
    dict(table=5, row="Faster R-CNN ×2, 1:1 and 1:9", AP=36.5, AP_R1=36.3),
    dict(table=8, row="1:1, soft", AP=36.3),
]

model = dict(roi_head=dict(ratios=["1:1"]))
