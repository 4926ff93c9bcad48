"""Training through mmengine: RGA's hook, runs that resume exactly, precision, processes. Importing registers them."""

import rgacli.modeling  # noqa: F401  (first: it supplies the compiled part of mmcv, and the parts that configs name)

# isort: split
from rgacli.engine import (  # noqa: F401
    annealing,
    averaging,
    compiling,
    early_stopping,
    gradient_probe,
    metrics_log,
    precision,
    training,
)
