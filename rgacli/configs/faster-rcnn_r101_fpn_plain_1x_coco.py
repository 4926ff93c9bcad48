# Faster R-CNN as mmdet has it, ResNet-101, 1x: stands for the published result.
_base_ = "mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py"
paper = [dict(table=3, row="Faster R-CNN, R-101", AP=36.2, AP50=59.1, AP75=39.0, APs=18.2, APm=39.0, APl=48.2)]
plain = True
