"""Fixtures and settings that all tests share."""

import os

import pytest
from hypothesis import settings

# Before torch is imported, and for the processes that tests start: everything here is too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("rgacli", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("rgacli")


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """Folder of a drawn dataset: 64x64 images, 4 to train on, 2 to validate and 2 to test on. Not to be written to."""
    from rgacli.data.synthetic import write_dataset

    root = tmp_path_factory.mktemp("dataset") / "tiny"
    write_dataset(root, sizes={"train": 4, "val": 2, "test": 2}, image_size=(64, 64), max_objects=4)
    return root
