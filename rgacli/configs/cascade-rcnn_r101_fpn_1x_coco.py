# Cascade R-CNN, ResNet-101, 1x: the plain baseline, one head per stage at 1:3 and no RGA.
_base_ = "cascade-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=3, row="Cascade R-CNN*, R-101", AP=42.1, AP50=61.0, AP75=46.0, APs=23.5, APm=45.5, APl=54.7)]

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint="torchvision://resnet101")))
