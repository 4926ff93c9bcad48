# Faster R-CNN with FPN on CrowdHuman's full bodies, by its paper's settings [Shao et al., arXiv 1805.00123, Sec. 4.3
# and 4.4], as ours has them (Sec. 4.4): RoIs not clipped to the image, tall anchors, one scale, 16 images a batch. Of
# what they do not state (losses, proposals, RoIAlign, clipping, warm-up), mmdet 1.x's: our paper's toolbox.
# `rgacli data crowdhuman` prepares the dataset.
_base_ = [
    "faster-rcnn_r50_fpn_v1.py",
    "mmdet::_base_/datasets/coco_detection.py",
    "schedule_1x_v1.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["rgacli.core", "rgacli.evaluation.variants_metric"], allow_failed_imports=False)

model = dict(
    rpn_head=dict(
        anchor_generator=dict(ratios=[1.0, 1.5, 2.0, 2.5, 3.0]),  # height : width
        bbox_coder=dict(clip_border=False),
    ),
    roi_head=dict(bbox_head=dict(num_classes=1, bbox_coder=dict(clip_border=False))),
    train_cfg=dict(
        # What lies in a box to ignore is no negative, as in CrowdDet [Chu et al., arXiv 2003.09163].
        rpn=dict(assigner=dict(ignore_iof_thr=0.5), allowed_border=-1),  # boxes leave the image, and so may anchors
        rcnn=dict(assigner=dict(ignore_iof_thr=0.5)),
    ),
    # As CrowdDet's and mmdet's: the miss rate is taken at up to one false positive per image, in crowds of hundreds.
    test_cfg=dict(rcnn=dict(score_thr=0.01, max_per_img=500)),
)

data_root = "data/CrowdHuman/"
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].update(scale=(1400, 800), clip_object_border=False)
test_pipeline[1].update(scale=(1400, 800))
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/train.json",
        data_prefix=dict(img="Images/"),
        metainfo=dict(classes=("person",)),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/val.json",
        data_prefix=dict(img="Images/"),
        metainfo=dict(classes=("person",)),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="VariantsCrowdHumanMetric", ann_file=data_root + "annotations/val.json")
test_evaluator = val_evaluator

# The paper's 600 000 iterations (steps at 150 000 and 450 000) would be 640 epochs of these batches; 30 with steps at
# 24 and 27 are CrowdDet's schedule, and mmdet's for it. Learning rate, momentum and weight decay are the paper's.
train_cfg = dict(max_epochs=30)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=30, milestones=[24, 27])
