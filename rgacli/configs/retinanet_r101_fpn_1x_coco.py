# RetinaNet as mmdet has it, ResNet-101, 1x: stands for the published result.
_base_ = "mmdet::retinanet/retinanet_r101_fpn_1x_coco.py"
paper = [dict(table=3, row="RetinaNet, R-101", AP=39.1, AP50=59.1, AP75=42.3, APs=21.8, APm=42.7, APl=50.2)]
plain = True
