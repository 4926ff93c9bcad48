# Mask R-CNN as mmdet has it, ResNet-101, 1x: stands for the published result.
_base_ = "mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py"
paper = [dict(table=3, row="Mask R-CNN, R-101", AP=38.2, AP50=60.3, AP75=41.7, APs=20.1, APm=41.1, APl=50.2)]
plain = True
