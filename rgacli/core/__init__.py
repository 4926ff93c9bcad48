"""The detector: what is trained and run.

Importing this package registers every part with mmdet and mmengine, so that a config can name them after
`custom_imports = dict(imports=["rgacli.core"])`.
"""

import warnings

from rgacli.core import native_ops

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # mmengine's own import of it
native_ops.install()  # before anything below imports mmcv.ops

from rgacli.core import (  # noqa: E402
    annealing,
    checkpoints,
    mmdet_fixes,
    parallel_cascade,
    parallel_roi_head,
    precision,
    probes,
    sampling,
    training,
)

checkpoints.allow_mmengine_metadata()
mmdet_fixes.install()

__all__ = [
    "annealing",
    "checkpoints",
    "mmdet_fixes",
    "native_ops",
    "parallel_cascade",
    "parallel_roi_head",
    "precision",
    "probes",
    "sampling",
    "training",
]
