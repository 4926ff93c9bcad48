import json

import pytest
import torch

from rgacli.engine.metrics_log import JsonLinesVisBackend, NewLines, read_metrics, truncate_metrics
from rgacli.errors import DataError, RunFailed


def strictly(line):
    return json.loads(line, parse_constant=pytest.fail)


def test_each_step_is_one_line_of_json(tmp_path):
    backend = JsonLinesVisBackend(str(tmp_path / "new"))
    backend.add_scalars({"loss": torch.tensor(0.5), "iter": 3}, step=3)
    backend.add_scalar("lambda", 7.0, step=4)
    assert [strictly(line) for line in (tmp_path / "new/metrics.jsonl").open()] == [
        {"loss": 0.5, "iter": 3, "step": 3},
        {"lambda": 7.0, "step": 4},
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), torch.tensor(float("nan"))])
def test_what_json_has_no_number_for_is_null(tmp_path, value):
    JsonLinesVisBackend(str(tmp_path)).add_scalars({"AP": value}, step=1)
    assert strictly((tmp_path / "metrics.jsonl").read_text()) == {"AP": None, "step": 1}


def test_lines_after_an_iteration_are_dropped_with_one_half_written(tmp_path):
    path, backend = tmp_path / "metrics.jsonl", JsonLinesVisBackend(str(tmp_path))
    for step in range(1, 6):
        backend.add_scalars({"loss": 0.1, "iter": step}, step=step)
    before = path.read_text().splitlines()
    with path.open("a") as file:
        file.write('{"loss": 0.1, "it')
    truncate_metrics(path, 3)
    assert path.read_text().splitlines() == before[:3]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("validated", "kept"), [(True, [1, 2, 2]), (False, [1, 2])])
def test_a_validation_that_is_yet_to_come_is_dropped(tmp_path, validated, kept):
    backend = JsonLinesVisBackend(str(tmp_path))
    for step in (1, 2):
        backend.add_scalars({"loss": 0.1}, step=step)
    backend.add_scalars({"coco/ensemble/AP": 0.5}, step=2)
    truncate_metrics(backend.path, 2, validated=validated)
    assert [line["step"] for line in read_metrics(backend.path)] == kept


def test_there_may_be_nothing_to_truncate(tmp_path):
    truncate_metrics(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        *(b"not json", b'{"loss": 1, "st', b"[1, 2]", b'{"loss": 1}', b"\xfe\x00", b"[" * 100_000),
        *(b'{"loss": 1, "step": null}', b'{"loss": 1, "step": -1}', b'{"loss": 1, "step": "3"}'),
        *(b'{"loss": {}, "step": 1}', b'{"loss": "x", "step": 1}', b'{"loss": NaN, "step": 1}'),
        b'{"loss": 1' + b"0" * 400 + b', "step": 1}',
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"loss": 1, "step": 1}\n' + line + b'\n{"loss": 1, "step": 2}\n')
    with pytest.raises(DataError, match=rf"{path} is damaged: line 2 "):
        read_metrics(path)


def test_a_log_that_is_being_written_is_followed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    new = NewLines(path)
    assert new() == []
    for text, steps in (
        ('{"loss": 1, "step": 1}\n{"loss": 1, "st', [1]),
        ('ep": 2}\n', [2]),
        ("", []),
        ('{"loss": 1, "step": 3}\n{"loss": 1, "step": 4}\n', [3, 4]),
    ):
        with path.open("a") as file:
            file.write(text)
        assert [line["step"] for line in new()] == steps
    with path.open("a") as file:
        file.write("no json\n")
    with pytest.raises(DataError, match="line 5 "):
        new()


def test_a_full_disk_names_the_log(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        JsonLinesVisBackend(str(tmp_path)).add_scalar("loss", 0.5, step=1)
    assert caught.value.filename == str(tmp_path / "metrics.jsonl")


def test_a_run_that_is_gone_is_not_made_again_in_parts(tmp_path):
    backend = JsonLinesVisBackend(str(tmp_path / "run"))
    (tmp_path / "run").rmdir()
    with pytest.raises(RunFailed, match=r"run is gone: it was removed while the run trained"):
        backend.add_scalar("loss", 0.5, step=1)
    assert list(tmp_path.iterdir()) == []
