# Cascade R-CNN with FPN as mmdet 1.x trains it (its configs/cascade_rcnn_r50_fpn_1x.py); see faster-rcnn_r50_fpn_v1.py.
# Losses and proposals are those that mmdet 3 has kept for it.
_base_ = "mmdet::_base_/models/cascade-rcnn_r50_fpn.py"
settings = "mmdet 1.x"

model = dict(
    rpn_head=dict(anchor_generator=dict(center_offset=0.5)),
    roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2, aligned=False))),
    train_cfg=dict(
        rcnn=[
            dict(
                assigner=dict(
                    type="MaxIoUAssigner",
                    pos_iou_thr=iou,
                    neg_iou_thr=iou,
                    min_pos_iou=iou,
                    match_low_quality=True,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(type="RandomSampler", num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
                pos_weight=-1,
                debug=False,
            )
            for iou in (0.5, 0.6, 0.7)
        ],
    ),
)
