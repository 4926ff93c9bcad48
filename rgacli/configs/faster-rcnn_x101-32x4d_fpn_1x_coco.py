# Faster R-CNN, ResNeXt-101 32x4d, 1x: the plain baseline, one head at 1:3 and no RGA.
_base_ = "faster-rcnn_r50_fpn_1x_coco.py"
paper = [dict(table=2, row="Faster R-CNN, X-101-32x4d, 1x", AP=40.1, AP50=62.0, AP75=43.8)]

model = dict(
    backbone=dict(
        type="ResNeXt", depth=101, groups=32, base_width=4, init_cfg=dict(checkpoint="open-mmlab://resnext101_32x4d")
    )
)
