# Faster R-CNN with RGA and PRM, ResNet-50, on CrowdHuman's full bodies.
_base_ = "faster-rcnn_r50_fpn_prm_8xb2-30e_crowdhuman.py"
paper = [dict(table=7, row="Faster R-CNN w/ RGA+PRM", mMR=45.13, AP50=86.37)]

custom_hooks = [dict(type="GradientAnnealingHook", lambda0=7.0)]
