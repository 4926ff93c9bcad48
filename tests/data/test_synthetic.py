import subprocess
import sys
from pathlib import Path

import pytest

from rgacli.data import synthetic
from rgacli.data.annotations import gt_counts, load_annotations
from rgacli.data.check import check_splits
from rgacli.data.layout import find_dataset
from rgacli.data.scenes import CLASS_NAMES
from rgacli.data.synthetic import embedded_dataset, write_dataset
from rgacli.errors import UsageError
from tests.support.disks import files_of_at_most

REPOSITORY = Path(__file__).parents[2]


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "small"
    write_dataset(root, sizes={"train": 6, "val": 2, "test": 2}, seed=3)
    return root


def test_what_is_written_is_a_sound_dataset_of_all_classes(small):
    dataset = find_dataset(small)
    assert dataset.classes == CLASS_NAMES
    reports = check_splits(dataset.splits)
    assert {name: (report.images, report.problems) for name, report in reports.items()} == {
        "train": (6, []),
        "val": (2, []),
        "test": (2, []),
    }


def test_the_same_seed_writes_the_same_bytes(small, tmp_path):
    write_dataset(tmp_path / "again", sizes={"train": 6, "val": 2, "test": 2}, seed=3)
    assert files(tmp_path / "again") == files(small)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_dataset_is_there_whole_or_not_at_all(small, tmp_path, is_there):
    """It may be killed at any time; what that leaves is hidden, and in nobody's way."""
    root = tmp_path / "made"
    if is_there:
        root.mkdir()
        (root / ".made-x2y/new/images").mkdir(parents=True)
    seen = []
    sizes = {"train": 6, "val": 2, "test": 2}
    write_dataset(
        root, sizes=sizes, seed=3, progress=lambda *_: seen.append(root.exists() and list(root.glob("[!.]*")))
    )
    assert seen == [[] if is_there else False] * 10
    assert files(root) == files(small)
    with pytest.raises(UsageError, match="not an empty folder"):
        write_dataset(root)


def test_another_seed_and_another_split_draw_other_images(small, tmp_path):
    write_dataset(tmp_path / "other", sizes={"train": 1}, seed=4)
    image = "images/train/000001.jpg"
    assert (tmp_path / "other" / image).read_bytes() != (small / image).read_bytes()
    assert (small / "images/val/000001.jpg").read_bytes() != (small / image).read_bytes()


def test_a_smaller_dataset_is_the_beginning_of_a_larger_one(small, tmp_path):
    write_dataset(tmp_path / "smaller", sizes={"train": 4}, seed=3)
    for image in (tmp_path / "smaller/images/train").iterdir():
        assert image.read_bytes() == (small / "images/train" / image.name).read_bytes()
    smaller, larger = (
        load_annotations(root / "annotations/train.json")["annotations"] for root in (tmp_path / "smaller", small)
    )
    assert smaller == larger[: len(smaller)]


def test_max_objects_bounds_the_images(tmp_path):
    write_dataset(tmp_path / "few", sizes={"val": 8}, max_objects=2)
    assert max(gt_counts(load_annotations(tmp_path / "few/annotations/val.json")).values()) <= 2
    assert not (tmp_path / "few/annotations/train.json").exists()


def test_a_higher_median_draws_dense_images(tmp_path):
    options = {"sizes": {"val": 3}, "image_size": (384, 320), "max_objects": 160, "median_objects": 120}
    write_dataset(tmp_path / "dense", **options)
    counts = gt_counts(load_annotations(tmp_path / "dense/annotations/val.json")).values()
    assert 100 < max(counts) <= 160
    assert sum(count > 60 for count in counts) >= 2


@pytest.mark.parametrize(
    "options",
    [{"image_size": (31, 100)}, {"max_objects": 0}, {"median_objects": 0}, {"seed": -1}, {"sizes": {"train": -1}}],
)
def test_numbers_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        write_dataset(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine").write_text("precious")
    for root in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UsageError, match="not an empty folder"):
            write_dataset(root)
    assert files(tmp_path) == {Path("mine"): b"precious"}


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "write_dataset", lambda root, progress: root.mkdir())
    monkeypatch.delenv("RGACLI_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert embedded_dataset() == tmp_path / f"home/.cache/rgacli/embedded-v{synthetic.VERSION}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert embedded_dataset().parent == tmp_path / "xdg/rgacli"
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path / "own"))
    assert embedded_dataset().parent == tmp_path / "own"


def test_the_embedded_dataset_is_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "write_dataset", lambda root, progress: write_dataset(root, sizes={"train": 1}))
    first = embedded_dataset()
    monkeypatch.setattr(synthetic, "write_dataset", None)
    assert embedded_dataset() == first


def test_with_more_test_images_it_is_another_dataset_of_the_same_first_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    drawn = []
    monkeypatch.setattr(synthetic, "write_dataset", lambda root, sizes, progress: (root.mkdir(), drawn.append(sizes)))
    folder = embedded_dataset(test=400)
    assert folder.name == f"embedded-v{synthetic.VERSION}-test400"
    assert drawn == [{**synthetic.SIZES, "test": 400}]


def test_a_drawing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(root, progress):
        root.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "write_dataset", fail)
    with pytest.raises(KeyboardInterrupt):
        embedded_dataset()
    assert list(tmp_path.iterdir()) == []


RACER = """
import os, pathlib, sys, time
from rgacli.data import synthetic
draw, cache = synthetic.write_dataset, pathlib.Path(os.environ["RGACLI_CACHE"])
def draw_and_wait(root, progress):
    draw(root, sizes={"train": 2})
    (cache / f"drawn-{os.getpid()}").touch()
    while len(list(cache.glob("drawn-*"))) < 2:
        time.sleep(0.01)
synthetic.write_dataset = draw_and_wait
print(synthetic.embedded_dataset())
"""


def test_two_processes_may_draw_the_embedded_dataset_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert set(outputs) == {str(tmp_path / f"embedded-v{synthetic.VERSION}")}
    assert find_dataset(Path(outputs[0])).classes == CLASS_NAMES
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["drawn", "drawn", "embedded"]


def test_an_image_that_finds_no_room_is_an_error_and_is_not_cut_off_in_silence(tmp_path):
    with pytest.raises(OSError, match="File too large"), files_of_at_most(600):
        write_dataset(tmp_path / "new", sizes={"train": 1, "val": 0, "test": 0}, image_size=(64, 64))
