import json

import pytest

from rgacli.bench import record
from rgacli.bench.settings import parse_contestants, parse_counts, parse_size
from rgacli.errors import UsageError
from tests.cli.commands import invoke
from tests.support import tiny

SMALL = ("--weights", "random", "--size", "64x64", "--repeats", 2, "--counts", 1, "--threads", 1, "--batch", 1)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "tiny.py"
    path.write_text(tiny.tiny_config().pretty_text)
    return path


@pytest.mark.parametrize("section", ["train", "infer"])
def test_detectors_are_measured_and_recorded(section, config, tmp_path):
    path = tmp_path / "record.json"
    result = invoke("bench", section, "--config", config, *SMALL, "--save", path)
    assert result.exit_code == 0, result.output
    own = record.read(path)[section]
    names = ["k1", "k2", "k5", "stock"]
    assert list(own["counts"]["contestants"]) == names
    every = ["k2-all", "k5-all"] * (section == "infer")
    assert set(own["rows"]) == {*names, *every, *(f"floor of {name}" for name in names[:3])}
    assert all(row["seconds"]["n"] == 2 for row in own["rows"].values())
    assert ("rga_share" in own["rows"]["k2"]) == (section == "train")
    assert own["left_out"] == ["torchvision: the config is no ResNet-50 with FPN"]
    assert f"record: {path}" in result.stderr
    assert "K = 2 against mmdet's one head" in result.stdout


def test_evaluation(tmp_path):
    result = invoke("bench", "eval", "--images", 12, "--samples", 2, "--reference-samples", 1, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["eval"]["settings"]["detections"] == 1200


def test_loading(tiny_dataset, config):
    size = ("--size", "64x64", "--batches", 4, "--workers", "0")
    result = invoke("bench", "data", "--config", config, "--data", tiny_dataset, *size)
    assert result.exit_code == 0, result.output
    assert "loading, images/s" in result.stdout


def test_starting():
    result = invoke("bench", "startup", "--repeats", 1)
    assert result.exit_code == 0, result.output
    assert {"import", "help", "runs"} <= set(result.stdout.split())


def test_what_was_measured_is_kept_when_a_later_part_fails(monkeypatch, tmp_path):
    from rgacli.api import bench

    def fail():
        raise MemoryError

    path = tmp_path / "record.json"
    with pytest.raises(MemoryError):
        bench._on("cpu", None, path, {"startup": lambda: {"rows": {}}, "train": fail})
    assert record.read(path)["startup"] == {"rows": {}}
    with pytest.raises(FileExistsError):
        bench._on("cpu", None, tmp_path, {"startup": pytest.fail})


def test_alone_it_is_all_of_them(monkeypatch):
    """Each is measured above; here, that all are asked, in what order."""
    from rgacli.api import bench

    asked = []
    for name in ("train", "infer", "eval", "data", "startup"):
        monkeypatch.setattr(bench, f"_{name}", lambda *args, name=name: asked.append(name) or {})
    monkeypatch.setattr("rgacli.bench.record.as_rows", lambda found: [])
    result = invoke("bench", "--batch", 1, "--json")
    assert result.exit_code == 0, result.output
    assert asked == ["startup", "data", "eval", "infer", "train"]
    assert {"train", "infer", "eval", "data", "startup"} <= set(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "huge"), "--size huge is no HEIGHTxWIDTH"),
        (("--contestants", "k2,k3"), "there is no 'k3'"),
        (("--counts", "2,x"), "--counts 2,x is no list of numbers"),
        (("--weights", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(arguments, words):
    result = invoke("bench", "train", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_settings_are_read():
    assert parse_size("800x1333") == (800, 1333)
    assert parse_size(None) == (480, 640)
    assert parse_contestants(" k2, stock") == ("k2", "stock")
    assert parse_counts("2, 8") == (2, 8)
    assert parse_counts("") == ()
    with pytest.raises(UsageError, match="at least 64 px"):
        parse_size("32x640")
