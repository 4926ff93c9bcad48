"""A two-stage detector's bookkeeping for all images of a batch at once.

mmdet assigns, samples, decodes and suppresses image by image and level by level: hundreds of small launches, which grow
with the batch, and a wait for the device at each `nonzero`. Here the images' boxes are padded to one shape and masked,
so that the number of launches depends neither on the batch nor on what is in it, and the device is waited for once in
training and twice in prediction. The modules that learn are mmdet's own, and so are results, to rounding: losses given
the same draws, and detections.

`support` says which detectors this is for; all others take mmdet's way.
"""
