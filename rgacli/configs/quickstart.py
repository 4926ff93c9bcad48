# The embedded dataset on a CPU, from scratch, within five minutes.
_base_ = "faster-rcnn_r18-lite_fpn_rga-prm.py"

scale = (160, 128)
train_dataloader = dict(batch_size=8, num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
