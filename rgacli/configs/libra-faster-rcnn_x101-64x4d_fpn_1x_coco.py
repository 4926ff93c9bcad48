# Libra R-CNN as mmdet has it, ResNeXt-101 64x4d, 1x: stands for the published result.
_base_ = "mmdet::libra_rcnn/libra-faster-rcnn_x101-64x4d_fpn_1x_coco.py"
paper = [dict(table=3, row="Libra R-CNN, X-101", AP=43.0, AP50=64.0, AP75=47.0, APs=25.3, APm=45.6, APl=54.6)]
plain = True
