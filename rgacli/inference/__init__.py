"""Trained detectors on images, videos and from ONNX files."""

import rgacli.engine  # noqa: F401  (first: it supplies the compiled part of mmcv, and the parts that configs name)
