# mmdet 1.x's schedule (its configs/faster_rcnn_r50_fpn_1x.py): mmdet 3's, but that it clips gradients and warms up from
# a third of the learning rate. Learning rate and steps are stated by the paper as well (Sec. 4.1).
_base_ = "mmdet::_base_/schedules/schedule_1x.py"

optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type="LinearLR", start_factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
