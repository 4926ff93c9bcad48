import json
from pathlib import Path

import pytest

from rgacli.api.readme import blocks, update, with_tables
from rgacli.bench import record
from rgacli.bench.goals import Goal, goals
from rgacli.errors import DataError

ROOT = Path(__file__).parents[2]


def spread(median):
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median, "n": 5}


def row(title, **figures):
    return {"title": title, "seconds": spread(2.0), "images_per_second": 1.0, **figures}


def a_record(device="cpu", batch=2):
    settings = {"batch": batch, "size": [480, 640], "amp": None, "repeats": 5}
    counts = {
        "contestants": {"k2": {"2": {"ops": 500, "syncs": 3, "nms": 2}, "16": {"ops": 601, "syncs": 4, "nms": 2}}}
    }
    gigabyte = 10**9
    k2 = row("ours", peak_memory=10 * gigabyte, rga_share=0.001, to_floor=spread(1.2))
    stock = row("mmdet's", peak_memory=8 * gigabyte)
    found = {
        "format": record.FORMAT,
        "date": "2026-11-30",
        "machine": {"device": device, "name": "a processor", "threads": 2},
        "versions": {"torch": "2.11.0"},
        "train": {
            "settings": settings,
            "rows": {"k2": k2, "stock": stock},
            "ratios": {"k2/k1": spread(1.10), "k2/stock": spread(0.8)},
            "counts": counts,
        },
        "eval": {"speed_up": {"pycocotools": 30.0}},
        "startup": {"help": spread(0.2)},
    }
    return {**found, "goals": record.as_rows(found)}


def met(found):
    return {goal.what: goal.met for goal in goals(found)}


def test_goals_are_those_of_the_device():
    cpu, gpu = met(a_record()), met(a_record("cuda", batch=16))
    assert cpu["training step, K = 2 against K = 1"] is True  # 1.10, and 1.15 is the most
    assert gpu["training step, K = 2 against K = 1"] is False  # 1.08
    assert cpu["training step, K = 2 against mmdet's one head"] is False
    assert gpu["training step, K = 2 against mmdet's one head"] is True
    assert "training step against its arithmetic, 16 images" not in cpu
    assert gpu["training step against its arithmetic, 16 images"] is True
    assert gpu["peak memory of training, K = 2 against mmdet's one head"] is False  # 1.25


def test_a_compiled_training_in_mixed_precision_has_a_goal_of_its_own():
    found = a_record("cuda")
    found["train"]["settings"] |= {"compile": True, "amp": "fp16"}
    compiled = "training step, K = 2 compiled, in mixed precision, against mmdet's one head"
    assert (met(found)[compiled], met(a_record("cuda"))[compiled]) == (False, None)  # 0.8, and 0.7 is the most
    assert met(found)["training step, K = 2 against mmdet's one head"] is None


def test_the_floor_is_a_goal_at_its_batch_alone():
    assert met(a_record("cuda", batch=2))["training step against its arithmetic, 16 images"] is None


def test_what_was_not_measured_is_neither_met_nor_missed():
    (one,) = [goal for goal in goals(a_record()) if goal.what == "inference, K = 2 against torchvision"]
    assert (one.measured, one.met) == (None, None)


def test_counts_are_held_at_every_number_of_images():
    found = met(a_record())
    assert found["operations of K = 2's training forward, the most at 2, 16 images"] is False
    assert found["synchronisations of K = 2's training forward, the most at 2, 16 images"] is True


@pytest.mark.parametrize(
    ("measured", "at_least", "expected"),
    [(20.0, True, True), (19.9, True, False), (20.0, False, True), (20.1, False, False), (None, True, None)],
)
def test_a_bound_is_met_by_its_own_value(measured, at_least, expected):
    assert Goal("", 20.0, measured, at_least=at_least).met is expected


def test_a_record_is_read_as_it_was_written(tmp_path):
    found = record.assemble({"startup": {"help": spread(0.2)}})
    record.write(found, tmp_path / "record.json")
    assert record.read(tmp_path / "record.json") == found
    assert {"rgacli", "python", "torch", "torchvision", "mmdet", "mmcv-lite"} <= set(found["versions"])
    assert {"date", "commit", "machine", "goals"} <= set(found)
    assert [row["met"] for row in found["goals"] if row["what"] == "the help"] == [True]


def test_what_is_no_record_is_refused(tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(DataError, match="does not exist"):
        record.read(path)
    path.write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        record.read(path)
    path.write_text(json.dumps({"format": 0}))
    with pytest.raises(DataError, match="no record of a benchmark"):
        record.read(path)


def test_a_table_names_machine_contestants_and_goals():
    text = record.markdown(a_record())
    assert "2 threads of a processor" in text
    assert "2 images of 480×640, fp32, medians of 5" in text
    assert "| ours | 1 |  | 601 / 4 (16 images) |" in text
    assert "| training step, K = 2 against K = 1 | 1.15× | 1.1× | met |" in text
    assert "| metrics, bins and bootstraps against pycocotools | ≥ 20× | 30× | met |" in text
    assert "| RGA's share of a training step | 0.5 % | 0.1 % | met |" in text
    assert "| inference, K = 2 against torchvision | 1× | not measured |  |" in text


def test_tables_of_a_text_are_generated_anew(tmp_path):
    record.write(a_record(), tmp_path / "cpu.json")
    text = "before\n<!-- benchmark: cpu.json -->\nold\n<!-- end of benchmark -->\nafter\n"
    new = with_tables(text, tmp_path)
    assert blocks(new, "benchmark") == {"cpu.json": record.markdown(a_record())}
    assert (new.startswith("before\n"), new.endswith("after\n"), "old" in new) == (True, True, False)
    assert with_tables(new, tmp_path) == new


def test_a_readme_is_brought_up_to_date(tmp_path):
    record.write(a_record(), tmp_path / "cpu.json")
    (tmp_path / "README.md").write_text("<!-- benchmark: cpu.json -->\n<!-- end of benchmark -->\n")
    update(tmp_path)
    assert record.markdown(a_record()) in (tmp_path / "README.md").read_text()


def test_readme_says_what_the_records_say():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    records = {f"assets/benchmarks/{path.name}" for path in (ROOT / "assets" / "benchmarks").glob("*.json")}
    assert set(blocks(readme, "benchmark")) == records
    assert with_tables(readme, ROOT) == readme
