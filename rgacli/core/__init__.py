"""The door by which configs name our parts: `custom_imports = dict(imports=["rgacli.core"])`.

Importing it registers every part with mmdet and mmengine. Saved runs name it, so it stays where it is; code imports the
rooms themselves.
"""

import rgacli.engine
import rgacli.modeling  # noqa: F401
