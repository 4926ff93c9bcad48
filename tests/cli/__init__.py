import rgacli.compat  # noqa: F401  (mmcv's native ops have to be there before a test module imports mmdet)
