"""How fast all this is: contestants side by side on the same inputs, with what cannot be equal said."""

import rgacli.engine  # noqa: F401  (first: it supplies the compiled part of mmcv, and the parts that configs name)
