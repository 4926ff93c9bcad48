"""What leaves: stock mmdet models and ONNX files, and the proof that they detect the same."""

import rgacli.engine  # noqa: F401  (first: it supplies the compiled part of mmcv, and the parts that configs name)
