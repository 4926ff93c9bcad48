import json
import shutil
from contextlib import redirect_stdout
from io import StringIO

import pytest

from rgacli.cli.eval import select_variants
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import METRICS
from tests.cli.commands import RUN, call, error_line, invoke, snapshot

NAMES = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


def reference_ap(annotations, results):
    """pycocotools' AP, AP50, ... of a results file."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(METRICS, evaluation.stats[:6].tolist(), strict=True))


def test_json_is_all_that_stands_on_stdout(trained, folder):
    shutil.copytree(trained.root, folder, dirs_exist_ok=True)
    done = call("eval", RUN, "--head", "all", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["run"] == RUN
    assert shown["checkpoint"].endswith("epoch_3.pth")
    assert list(shown["heads"]) == list(NAMES.values())
    assert all(set(metrics) == set(METRICS) for metrics in shown["heads"].values())


def test_the_saved_detections_have_the_ap_that_is_shown(folder, run, dataset, near_misses):
    shown = json.loads(invoke("eval", "--head", "all", "--json").stdout)["heads"]
    for slug, name in NAMES.items():
        reference = reference_ap(dataset / "annotations/test.json", run / f"detections/test/{slug}.json")
        for metric, value in shown[name].items():
            assert (-1 if value is None else value) == pytest.approx(reference[metric], abs=1e-6)
    assert 0 < shown["1:1"]["AP"] < 1
    assert shown["1:1"] != shown["1:9"]


def test_the_table_shows_one_row_per_head_within_eighty_columns(folder, run, near_misses):
    result = invoke("eval", "--head", "all")
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == list(NAMES.values())
    assert "detections in runs/base/detections/test" in result.stderr


@pytest.mark.parametrize(
    ("head", "variants"),
    [
        ("ensemble", ["ensemble"]),
        ("all", ["1to1", "1to9", "ensemble"]),
        ("1:9", ["1to9"]),
        ("0", ["1to1"]),
        ("1", ["1to9"]),
    ],
)
def test_a_head_is_chosen_by_ratio_or_index(head, variants):
    assert select_variants(head, NAMES) == variants


@pytest.mark.parametrize("head", ["1:7", "2", "-1", "", "1to9"])
def test_an_unknown_head_is_answered_by_those_there_are(head):
    with pytest.raises(UsageError, match=r"this detector has 1:1, 1:9 \(or their index 0 to 1\)"):
        select_variants(head, NAMES)


def test_the_ensemble_of_a_single_head_is_that_head():
    assert select_variants("ensemble", {"1to3": "1:3"}) == ["1to3"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_has_detections_of_its_own(folder, run, dataset, split):
    shown = json.loads(invoke("eval", "--split", split, "--json").stdout)
    assert shown["annotations"] == str(dataset / f"annotations/{split}.json")
    assert (run / f"detections/{split}/ensemble.json").is_file()


def test_another_dataset_has_detections_of_its_own_and_its_val_stands_in_for_test(folder, run, dataset):
    other = shutil.copytree(dataset, folder / "other")
    (other / "annotations/test.json").unlink()
    shown = json.loads(invoke("eval", "--data", "other", "--json").stdout)
    assert shown["annotations"] == str(other / "annotations/val.json")
    assert [path.name for path in (run / "detections").iterdir()] == ["other-test"]


def test_a_checkpoint_is_evaluated_by_its_config_into_a_folder_of_its_own(folder, run):
    shutil.copy(run / "checkpoints/epoch_3.pth", "mine.pth")
    shutil.copy(run / "config.py", "mine.py")
    shutil.rmtree(folder / "runs")
    result = invoke("eval", "--checkpoint", "mine.pth", "--config", "mine.py", "--head", "all", "--json")
    assert list(json.loads(result.stdout)["heads"]) == list(NAMES.values())
    assert {path.name for path in folder.iterdir()} == {"mine.pth", "mine.py", "mine.rgacli"}
    assert (folder / "mine.rgacli/detections/test/ensemble.json").is_file()


def test_the_latest_run_is_taken_where_none_is_named(folder, run):
    newer = shutil.copytree(run, folder / "runs/newer")
    (newer / "config.py").touch()
    assert json.loads(invoke("eval", "--json").stdout)["run"] == "newer"
    assert json.loads(invoke("eval", run, "--json").stdout)["run"] == RUN


def test_the_ensemble_gains_what_its_ap_exceeds_each_heads_by(folder, run, near_misses):
    heads = json.loads(invoke("ensemble", "--json").stdout)["heads"]
    assert [row["head"] for row in heads] == list(NAMES.values())
    ensemble = heads[-1]
    assert "gain" not in ensemble
    for row in heads[:-1]:
        assert row["gain"] == pytest.approx(ensemble["AP"] - row["AP"], abs=1e-9)
        assert row["gain_low"] < row["gain"] < row["gain_high"]


def test_the_ensembles_table_fits_eighty_columns_in_one_line_per_head(folder, run, near_misses):
    result = invoke("ensemble")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert sum(line.startswith("│") for line in result.stdout.splitlines()) == len(NAMES)
    assert "±" in result.stdout


def test_detections_are_made_once_and_anew_when_damaged(folder, run):
    assert "using the detections" not in invoke("ensemble").stderr
    assert "using the detections in runs/base/detections/test" in invoke("ensemble").stderr
    (run / "detections/test/1to9.json").write_text("[")
    again = invoke("ensemble")
    assert (again.exit_code, "using the detections" in again.stderr) == (0, False)


def test_a_bad_checkpoint_leaves_earlier_detections_alone(folder, run):
    invoke("eval")
    (run / "checkpoints/epoch_9.pth").write_text("no checkpoint")
    before = snapshot(folder)
    result = invoke("eval")
    assert result.exit_code == 2
    assert "epoch_9.pth is damaged" in error_line(result.stderr)
    assert snapshot(folder) == before
