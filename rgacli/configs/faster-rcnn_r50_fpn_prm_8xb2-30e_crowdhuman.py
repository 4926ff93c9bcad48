# Faster R-CNN with PRM, ResNet-50, on CrowdHuman's full bodies.
_base_ = "faster-rcnn_r50_fpn_8xb2-30e_crowdhuman.py"
paper = [dict(table=7, row="Faster R-CNN w/ PRM", mMR=46.30, AP50=85.43)]

model = dict(roi_head=dict(ratios=["1:1", "1:9"]))
