# Faster R-CNN, ResNet-50, 2x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=2, row="Faster R-CNN, R-50, 2x", AP=37.3, AP50=59.0, AP75=40.5)]

train_cfg = dict(max_epochs=24)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24, milestones=[16, 22])
