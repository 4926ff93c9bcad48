# Faster R-CNN, ResNet-101, 1x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=3, row="Faster R-CNN*, R-101", AP=38.7, AP50=60.8, AP75=42.3, APs=22.3, APm=42.2, APl=48.5)]

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint="torchvision://resnet101")))
