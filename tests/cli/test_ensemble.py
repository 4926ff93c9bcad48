import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rgacli.ensembles import heads
from rgacli.method import ENSEMBLING_METHODS as METHODS
from tests.cli.commands import RUN, error_line, invoke, snapshot
from tests.cli.test_eval import reference_ap

HEADS = ["1:1", "1:9"]
FILES = {"1:1": "1to1", "1:9": "1to9", "ensemble": "ensemble"}


def ensembled(*arguments):
    timed = [] if "--results" in arguments else ["--timed", 2]
    result = invoke("ensemble", "--bootstrap", 5, *timed, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def table_rows(stdout):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in stdout.splitlines() if line.startswith("│")]


@pytest.fixture
def other(folder, run) -> Path:
    """A second run, of the same weights."""
    return Path(shutil.copytree(run, folder / "runs/other"))


def test_every_method_is_measured_on_what_is_saved_of_it(folder, run, dataset, near_misses):
    shown = ensembled()
    assert [row["head"] for row in shown["heads"]] == HEADS
    assert [row["name"] for row in shown["methods"]] == list(METHODS)
    average = shown["methods"][0]
    for row in (*shown["heads"], *shown["methods"]):
        saved = run / f"detections/test/{FILES.get(row['name'], row['name'])}.json"
        reference = reference_ap(dataset / "annotations/test.json", saved)
        assert [row[key] for key in ("AP", "AP50", "AP75")] == pytest.approx(
            [reference[key] for key in ("AP", "AP50", "AP75")], abs=1e-6
        )
        assert set(row["bins"]) == {"1-3", "4-7", "8+"}
        if row is not average:
            assert row["difference"] == pytest.approx(row["AP"] - average["AP"], abs=1e-9)
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert 0 < average["AP"] < 1
    assert average["difference"] is None


def test_what_averaging_gains_over_each_head_is_shown(folder, run, near_misses):
    shown = ensembled("--method", "ensemble")
    for row in shown["heads"]:
        assert row["gain"] == pytest.approx(shown["methods"][0]["AP"] - row["AP"], abs=1e-9)
        assert row["gain_low"] < row["gain"] < row["gain_high"]
    gains = [f"{row['gain']:+.3f}" for row in shown["heads"]]
    printed = invoke("ensemble", "--method", "ensemble", "--bootstrap", 5, "--timed", 0).stdout
    line = next(line for line in printed.splitlines() if line.startswith("averaging gains"))
    assert [word for word in line.split() if word[0] in "+-"] == gains


def test_costs_are_of_the_detector_with_one_head_and_with_all(folder, run):
    from rgacli.config.files import load_config
    from rgacli.modeling.build import build_detector

    shown = ensembled()
    model = build_detector(load_config(str(run / "config.py")))
    head, whole = (sum(p.numel() for p in part.parameters()) for part in (model.roi_head.bbox_head[0], model))
    assert {row["parameters"] for row in shown["heads"]} == {whole - head}
    assert {row["parameters"] for row in shown["methods"]} == {whole}
    timed = {row["name"] for row in shown["methods"] if row["added_seconds"] is not None}
    assert timed == set(METHODS) - {"oracle"}
    assert shown["timing"]["images"] == 2
    assert shown["timing"]["single_seconds"] > 0
    assert shown["timing"]["device"]


def test_tables_fit_eighty_columns_in_one_line_per_row(folder, run, near_misses):
    result = invoke("ensemble", "--bootstrap", 5, "--timed", 1)
    tables = [line for line in result.stdout.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    names = [row[0] for row in table_rows(result.stdout)]
    assert names == [*HEADS, *METHODS] * 2
    assert "±" in result.stdout


def test_the_average_costs_what_it_does_when_others_are_asked_for(folder, run):
    average, wbf = ensembled("--method", "wbf")["methods"]
    assert (average["name"], wbf["name"]) == ("ensemble", "wbf")
    assert average["parameters"] == wbf["parameters"] > 0
    assert average["added_seconds"] is not None


def test_bins_are_shown_with_their_number_of_images(folder, run, dataset):
    content = json.loads((dataset / "annotations/test.json").read_text())
    counts = Counter(entry["image_id"] for entry in content["annotations"]).values()
    expected = {"1-4": sum(count <= 4 for count in counts), "5+": sum(count >= 5 for count in counts)}
    assert ensembled("--method", "ensemble", "--bins", "1-4,5+")["images"] == expected
    printed = invoke("ensemble", "--method", "ensemble", "--bins", "1-4,5+", "--bootstrap", 2, "--timed", 0).stdout
    assert f"images: {expected['1-4']} of 1-4 objects, {expected['5+']} of 5+ objects" in printed


def test_untimed_methods_have_no_time(folder, run):
    result = invoke("ensemble", "--bootstrap", 2, "--timed", 0)
    assert "added ms" not in result.stdout
    assert "time: median" not in result.stdout
    assert "timing" not in ensembled("--timed", 0)


def test_the_oracle_is_said_to_use_the_annotations_and_dispatch_what_it_was_calibrated_on(folder, run, dataset):
    shown = ensembled()
    assert shown["oracle"]["uses_annotations"] is True
    assert set(shown["oracle"]["chosen"]) == {"all", "1-3", "4-7", "8+"}
    assert shown["dispatch"]["calibrated_on"] == str(dataset / "annotations/val.json")
    assert 0 < shown["dispatch"]["threshold"] < 1
    assert set(shown["dispatch"]["variants"]) == {"1-3", "4-7", "8+"}
    printed = invoke("ensemble", "--bootstrap", 2, "--timed", 0, "--method", "oracle", "--method", "dispatch").stdout
    assert "oracle looks at the annotations" in printed
    assert "annotations/val.json" in printed.replace("\n", "")


@pytest.mark.parametrize(
    ("split", "options", "expected"),
    [("val", [], "train"), ("train", [], "val"), ("test", ["--calibrate", "train"], "train")],
)
def test_dispatch_is_calibrated_on_another_split_than_the_one_evaluated(folder, run, dataset, split, options, expected):
    shown = ensembled("--split", split, "--method", "dispatch", *options)
    assert shown["dispatch"]["calibrated_on"] == str(dataset / f"annotations/{expected}.json")
    assert [row["name"] for row in shown["methods"]] == ["ensemble", "dispatch"]


def test_dispatch_is_not_calibrated_on_a_large_training_split_unasked(folder, run, dataset, monkeypatch):
    monkeypatch.setattr(heads, "_MANY_IMAGES", 7)
    result = invoke("ensemble", "--split", "val", "--bootstrap", 2, "--timed", 0)
    assert result.exit_code == 0, result.stderr
    assert "without dispatch: it would be calibrated on all 8 images of train" in result.stderr
    result = invoke("ensemble", "--split", "val", "--method", "dispatch")
    assert result.exit_code == 2
    assert "if that is wanted, say --calibrate train" in error_line(result.stderr)
    shown = ensembled("--split", "val", "--method", "dispatch", "--calibrate", "train")
    assert shown["dispatch"]["calibrated_on"] == str(dataset / "annotations/train.json")


def test_without_a_split_to_calibrate_on_dispatch_is_left_out_or_refused(folder, run, dataset):
    only = folder / "only"
    shutil.copytree(dataset, only)
    for split in ("train", "test"):
        (only / f"annotations/{split}.json").unlink()
    result = invoke("ensemble", "--data", only, "--bootstrap", 2, "--timed", 0, "--json")
    assert "without dispatch: " in result.stderr
    assert "dispatch" not in [row["name"] for row in json.loads(result.stdout)["methods"]]
    result = invoke("ensemble", "--data", only, "--method", "dispatch")
    assert result.exit_code == 2
    assert error_line(result.stderr).startswith("error: --method dispatch: ")


def test_detections_are_made_once_for_all_methods(folder, run):
    first = invoke("ensemble", "--bootstrap", 2, "--timed", 0)
    assert "using the detections" not in first.stderr
    again = invoke("ensemble", "--bootstrap", 2, "--timed", 0, "--method", "average-probs")
    assert "using the detections in runs/base/detections/test" in again.stderr
    (run / "detections/test/average-probs.json").write_text("[")
    damaged = invoke("ensemble", "--bootstrap", 2, "--timed", 0, "--method", "average-probs")
    assert (damaged.exit_code, "using the detections" in damaged.stderr) == (0, False)


def test_other_commands_use_the_heads_detections_and_are_not_shown_the_methods(folder, run):
    ensembled()
    result = invoke("analyze", "gt-bins", "--json")
    assert "using the detections" in result.stderr
    assert {row["name"] for row in json.loads(result.stdout)["rows"]} == {*HEADS, "ensemble"}
    assert set(json.loads(invoke("eval", "--head", "all", "--json").stdout)["heads"]) == {*HEADS, "ensemble"}


def test_the_figure_lies_beside_its_csv(folder, run, near_misses):
    assert ensembled("--out", "mine")["figure"] == "mine/ensembles.png"
    assert {path.name for path in (folder / "mine").iterdir()} == {"ensembles.png", "ensembles.csv"}


def test_a_figure_without_a_place_is_told_of_before_the_fusions(folder, run):
    (folder / "file").touch()
    result = invoke("ensemble", "--out", "file/figures")
    assert result.exit_code == 2
    assert "file is in the way (it is no folder)" in error_line(result.stderr)
    assert not (run / "detections/test/wbf.json").exists()


# --- separate detectors


def test_a_detector_and_its_copy_average_to_itself(folder, run, other):
    shown = ensembled(RUN, "other")
    assert [row["head"] for row in shown["heads"]] == [RUN, "other"]
    assert [row["name"] for row in shown["methods"]] == [method for method in METHODS if method != "dispatch"]
    home = folder / "ensembles/base+other/detections/test"
    alone, both = (json.loads((path / "ensemble.json").read_text()) for path in (run / "detections/test", home))
    assert len(alone) == len(both) > 0
    for one, two in zip(alone, both, strict=True):
        assert one["bbox"] == pytest.approx(two["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(two["score"], abs=1e-5)
    assert {path.stem for path in home.iterdir()} == {
        *("ensemble", "average-probs", "average-boxes", "joint-nms", "wbf", "oracle", "source")
    }
    single = shown["heads"][0]["parameters"]
    average, *_, oracle = shown["methods"]
    assert single < average["parameters"] < oracle["parameters"] == 2 * single
    assert f"using the detections in {home.relative_to(folder)}" in invoke("ensemble", RUN, "other").stderr


def test_checkpoints_of_one_config_are_combined(folder, run, other):
    shutil.copy(run / "checkpoints/epoch_3.pth", "a.pth")
    shutil.copy(other / "checkpoints/epoch_3.pth", "b.pth")
    checkpoints = ["--checkpoint", "a.pth", "--checkpoint", "b.pth", "--config", run / "config.py"]
    shown = ensembled(*checkpoints, "--method", "joint-nms")
    assert [row["head"] for row in shown["heads"]] == ["a", "b"]
    assert shown["reference"] == "a"
    assert (folder / "ensembles/a+b/detections/test/joint-nms.json").is_file()


def test_checkpoints_of_one_run_take_its_config(folder, run):
    shown = ensembled(
        *(f"--checkpoint={run}/checkpoints/epoch_{epoch}.pth" for epoch in (2, 3)), "--method", "joint-nms"
    )
    assert [row["head"] for row in shown["heads"]] == ["epoch_2", "epoch_3"]


def test_detectors_that_prepare_images_otherwise_have_no_average_but_a_fusion(folder, run, other):
    config = other / "config.py"
    config.write_text(config.read_text() + "\nmodel['data_preprocessor']['std'] = [1.0, 2.0, 3.0]\n")
    result = invoke("ensemble", RUN, "other", "--method", "ensemble")
    assert result.exit_code == 2
    assert "other prepares images in another way than base" in error_line(result.stderr)
    result = invoke("ensemble", RUN, "other", "--bootstrap", 5, "--timed", 1, "--json")
    assert "without ensemble, average-probs, average-boxes: other prepares images" in result.stderr
    shown = json.loads(result.stdout)
    assert [row["name"] for row in shown["methods"]] == ["joint-nms", "wbf", "oracle"]
    assert shown["reference"] == RUN


def test_other_classes_are_refused_by_name(folder, run, other, dataset):
    names = [entry["name"] for entry in json.loads((dataset / "annotations/test.json").read_text())["categories"]]
    config = other / "config.py"
    config.write_text(config.read_text().replace(f"'{names[0]}'", "'unheard of'"))
    result = invoke("ensemble", RUN, "other")
    assert result.exit_code == 2
    line = error_line(result.stderr)
    assert f"base and other have other classes: other lacks {names[0]}; base lacks unheard of" in line


# --- results of any framework


@pytest.fixture
def results(folder, run, dataset):
    """Two results files, as options."""
    invoke("eval", "--head", "all")
    for slug in ("1to1", "1to9"):
        shutil.copy(run / f"detections/test/{slug}.json", f"{slug}.json")
    return ["--results", "mine=1to1.json", "--results", "theirs=1to9.json"]


def test_results_files_are_fused_without_a_model(folder, run, dataset, near_misses, results):
    shutil.rmtree(folder / "runs")
    shown = ensembled(*results, "--annotations", dataset / "annotations/test.json")
    assert [row["head"] for row in shown["heads"]] == ["mine", "theirs"]
    assert [row["name"] for row in shown["methods"]] == ["joint-nms", "wbf", "oracle"]
    assert shown["reference"] == "mine"
    joint = shown["methods"][0]
    assert joint["difference"] == pytest.approx(joint["AP"] - shown["heads"][0]["AP"], abs=1e-9)
    assert joint["parameters"] is joint["added_seconds"] is None
    assert (folder / "ensembles/mine+theirs/detections/wbf.json").is_file()


def test_names_too_long_for_a_folder_are_shortened(folder, dataset, results):
    homes = set()
    for end in "ab":
        options = ["--results", f"{'long' * 70}{end}=1to1.json", *results[2:]]
        homes.add(ensembled(*options, "--annotations", dataset / "annotations/test.json")["detections"])
    assert len(homes) == 2
    assert all((folder / home / "wbf.json").is_file() for home in homes)


def test_scores_that_cannot_be_compared_are_refused(folder, dataset, results, near_misses):
    percents = [{**entry, "score": 100 * entry["score"]} for entry in json.loads(Path("1to9.json").read_text())]
    Path("1to9.json").write_text(json.dumps(percents))
    result = invoke("ensemble", *results, "--annotations", dataset / "annotations/test.json")
    assert result.exit_code == 2
    assert "1to9.json: " in error_line(result.stderr)
    assert "have a score outside [0, 1]" in error_line(result.stderr)


def test_without_the_library_wbf_is_left_out_or_refused(folder, run, dataset, monkeypatch, results):
    monkeypatch.setattr("rgacli.cli.sources.source.find_spec", lambda name: None)
    options = [*results, "--annotations", dataset / "annotations/test.json"]
    assert "wbf" not in [row["name"] for row in ensembled(*options)["methods"]]
    result = invoke("ensemble", *options, "--method", "wbf")
    assert result.exit_code == 2
    assert "pip install 'rgacli[wbf]'" in error_line(result.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibrate", "test"], "--calibrate test is the split that is evaluated"),
        ([RUN, "other", "--method", "dispatch"], "--method dispatch: it weighs the heads of one run"),
        ([RUN, "other", "--calibrate", "val"], "--calibrate goes with --method dispatch"),
        ([RUN, RUN], "run base stands twice"),
        ([RUN, "gone"], "no run 'gone'"),
        (["--checkpoint", "a.pth"], "checkpoint a.pth does not exist"),
        (["--checkpoint", "a.pth", RUN, "--config", "a.py"], "give RUN or --checkpoint, not both"),
        (["--config", "a.py"], "--config says what a --checkpoint was trained by"),
        (["--checkpoint", "a.pth", "--config", "a.py", "--config", "b.py"], "--config: 2 for 1 --checkpoint"),
        (["--results", "a=a.json"], "--results needs --annotations FILE"),
        (["--annotations", "a.json"], "--annotations goes with --results"),
        (["--results", "a=a.json", RUN], "--results stand alone"),
        (["--results", "a=a.json", "--split", "val"], "--results stand alone"),
        (["--results", "a=a.json", "--device", "cpu"], "--results stand alone"),
        (["--results", "a=a.json", "--timed", 3], "--results stand alone"),
        (["--method", "wbf", "--calibrate", "val"], "--calibrate goes with --method dispatch"),
        (["--bins", "0-3"], "bin '0-3' starts below 1"),
    ],
)
def test_what_cannot_be_combined_costs_one_line(folder, run, other, arguments, words):
    before = snapshot(folder)
    result = invoke("ensemble", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--results", "mine=1to1.json"], "names a single file: nothing to combine"),
        (["--results", "mine=1to1.json", "--results", "mine=1to9.json"], "the name mine stands twice"),
        (["--results", "wbf=1to1.json", "--results", "mine=1to9.json"], "wbf is the name of a method"),
        (["--results", "mine", "--results", "theirs=1to9.json"], "--results mine is not of the form NAME=FILE"),
        (
            ["--results", "mine=1to1.json", "--results", "theirs=1to9.json", "--method", "ensemble"],
            "--method ensemble: it",
        ),
        (["--results", "mine=1to1.json", "--results", "theirs=gone.json"], "gone.json: no such results file"),
    ],
)
def test_results_that_cannot_be_combined_cost_one_line(folder, run, dataset, results, options, words):
    result = invoke("ensemble", *options, "--annotations", dataset / "annotations/test.json")
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
