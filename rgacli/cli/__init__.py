"""The commands, one file each: parse, call, render. No module here imports torch at its top."""
