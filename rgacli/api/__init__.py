"""One function per command, also from Python: values in, dataclasses out, progress as a callback.

`rgacli` offers each of them under its own name (`rgacli.train`, `rgacli.evaluate`, …) and imports its module at its
first use, since most need torch.
"""
