# mmdet's YOLOv3 (DarkNet-53), in place of the paper's YOLOv2, which mmdet lacks.
_base_ = "mmdet::yolo/yolov3_d53_8xb8-ms-608-273e_coco.py"
paper = [dict(table=3, row="YOLOv2 (here YOLOv3)", AP=21.6, AP50=44.0, AP75=19.2, APs=5.0, APm=22.4, APl=35.5)]
plain = True
