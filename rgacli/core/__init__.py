"""The detector: what is trained and run.

Importing this package registers every part with mmdet and mmengine, so that a config can name them after
`custom_imports = dict(imports=["rgacli.core"])`.
"""

import warnings

from rgacli.core import native_ops

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # mmengine's own import of it
native_ops.install()  # before anything below imports mmcv.ops

from rgacli.core import annealing, checkpoints, parallel_heads, probes, sampling, training  # noqa: E402

checkpoints.allow_mmengine_metadata()

__all__ = ["annealing", "checkpoints", "native_ops", "parallel_heads", "probes", "sampling", "training"]
