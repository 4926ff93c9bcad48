# Faster R-CNN with FPN as mmdet 1.x trains it (its configs/faster_rcnn_r50_fpn_1x.py), the paper's toolbox (its [3] and
# Appendix B). What is not named here is the same in mmdet 3.
#
# In 1.x a box ends at its last pixel: x2 is one less than in mmdet 3, a width is x2 - x1 + 1. In mmdet 3's coordinates
# its box coder, IoU and NMS are mmdet 3's own, and its RoIAlign the one that is not aligned. The legacy box coder of
# mmdet's legacy_1.x/ is for testing weights of 1.x: trained with, it makes boxes a pixel too wide and too high.
_base_ = "mmdet::_base_/models/faster-rcnn_r50_fpn.py"
settings = "mmdet 1.x"

model = dict(
    rpn_head=dict(
        anchor_generator=dict(center_offset=0.5),  # in the middle of their cells; 1.x rounds them to whole pixels too
        loss_bbox=dict(type="SmoothL1Loss", beta=1 / 9),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2, aligned=False)),
        bbox_head=dict(loss_bbox=dict(type="SmoothL1Loss", beta=1.0)),
    ),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=dict(assigner=dict(match_low_quality=True)),
    ),
)
