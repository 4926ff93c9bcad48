# The quickstart's detector as a Cascade R-CNN of three stages.
_base_ = "cascade-rcnn_r18-lite_fpn_rga-prm.py"

rcnn = _base_.model.train_cfg.rcnn
for stage in rcnn:
    stage.sampler.num = 64
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=1))),
    train_cfg=dict(rpn_proposal=dict(nms_pre=300, max_per_img=200), rcnn=rcnn),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=200)),
)
del rcnn, stage

scale = (160, 128)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].scale = test_pipeline[1].scale = scale
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=10, val_interval=10)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=True, begin=0, end=10, T_max=10, convert_to_iter_based=True),
]
