# One head at 1:9; beside one at 1:1, the second of Table 5's two separate detectors.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [
    dict(table=1, row="1:9 alone", AP=34.9),
    dict(table=5, row="Faster R-CNN ×2, 1:1 and 1:9", AP=36.5, AP_R2=34.9),
]

model = dict(roi_head=dict(ratios=["1:9"]))
