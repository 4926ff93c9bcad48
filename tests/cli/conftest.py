"""A tiny dataset and one run trained on it, which the tests of the commands share."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.commands import EPOCHS, RUN, TINY, call
from tests.support.once import once


@dataclass(frozen=True)
class Trained:
    """What training left: its folder holds runs/, and nothing else."""

    root: Path
    output: CompletedProcess

    @property
    def run(self) -> Path:
        return self.root / "runs" / RUN


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Folder of 8 images to train on, 4 to validate and 4 to test on, of 64x48 px. Not to be written to."""
    from rgacli.data.synthetic import write_dataset

    def draw(folder: Path) -> None:
        sizes = {"train": 8, "val": 4, "test": 4}
        write_dataset(folder / "drawn", sizes=sizes, image_size=(64, 48), max_objects=9)

    return once(tmp_path_factory, "data", draw)[0] / "drawn"


@pytest.fixture(scope="session")
def trained(tmp_path_factory, dataset) -> Trained:
    """The shared run, trained by the real command with default λ0 and ratios. Not to be written to."""

    def train(root: Path) -> list:
        done = call("train", "quickstart", "--data", dataset, "--epochs", EPOCHS, "--name", RUN, *TINY, cwd=root)
        assert done.returncode == 0, done.stderr
        return [done.returncode, done.stdout, done.stderr]

    root, output = once(tmp_path_factory, "trained", train)
    return Trained(root, CompletedProcess([], *output))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def run(folder, trained) -> Path:
    """A copy of the shared run, in runs/ of the working folder."""
    return Path(shutil.copytree(trained.run, folder / "runs" / RUN))


@pytest.fixture
def finding(run) -> Path:
    """The same, which reports whatever it finds, however unsure of it."""
    config = run / "config.py"
    text = config.read_text()
    assert text.count("score_thr=0.05") == 1
    config.write_text(text.replace("score_thr=0.05", "score_thr=0.0"))
    return run


@pytest.fixture
def near_misses(monkeypatch, dataset) -> None:
    """Has detectors find each object of the test split a few pixels off, at a random score: AP between 0 and 1."""
    from tests.support.near_misses import find_nearly

    find_nearly(monkeypatch, dataset / "annotations/test.json")
