"""The ground that mmdet stands on here: mmcv's native ops on torchvision, and what mmdet 3.3 needs mended.

Importing this package prepares the process: it has to come before anything that imports `mmcv.ops` or mmdet.
"""

import warnings

from rgacli.compat import native_ops

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # mmengine's own import of it
native_ops.install()  # before anything below imports mmcv.ops

from rgacli.compat import local_files, mmdet_fixes  # noqa: E402

local_files.install()
mmdet_fixes.install()
