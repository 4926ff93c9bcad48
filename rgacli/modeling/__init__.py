"""The detector's own parts: sampling, parallel heads and their ensemble. Importing it registers them with mmdet."""

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from rgacli.modeling import checkpoints, parallel_cascade, parallel_roi_head, sampling  # noqa: F401
from rgacli.modeling.batched import detectors  # noqa: F401

checkpoints.allow_mmengine_metadata()
