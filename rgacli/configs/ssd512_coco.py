# mmdet's SSD512 (VGG-16), in place of the paper's on ResNet-101, which mmdet lacks.
_base_ = "mmdet::ssd/ssd512_coco.py"
paper = [dict(table=3, row="SSD512, R-101 (here VGG-16)", AP=31.2, AP50=50.4, AP75=33.3, APs=10.2, APm=34.5, APl=49.8)]
plain = True
