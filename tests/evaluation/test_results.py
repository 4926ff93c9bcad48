import copy
import json
import math

import numpy as np
import pytest

from rgacli.errors import DataError, UsageError
from rgacli.evaluation import results
from rgacli.evaluation.result_arrays import ResultArrays
from rgacli.evaluation.results import decode_masks, encode_masks, load_named_results, load_results, save_results
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0, images=5)
GOOD = {"image_id": 2, "category_id": 7, "bbox": [1.5, 2, 30, 40], "score": 0.25}


def test_what_is_saved_is_loaded(tmp_path):
    detections = noisy_detections(ANNOTATIONS, seed=1)
    save_results(tmp_path / "new" / "1to9.json", detections)
    assert load_results(tmp_path / "new" / "1to9.json", ANNOTATIONS) == detections
    assert load_results(str(tmp_path / "new" / "1to9.json"), ANNOTATIONS) == detections
    assert load_results(copy.deepcopy(detections), ANNOTATIONS) == detections


def test_no_detections_are_legal(tmp_path):
    save_results(tmp_path / "none.json", [])
    assert load_results(tmp_path / "none.json", ANNOTATIONS) == []


def test_keys_of_others_are_kept():
    masked = {**GOOD, "id": 3, "segmentation": {"size": [480, 640], "counts": "abc"}, "score": 1}
    assert load_results([masked], ANNOTATIONS) == [masked]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'[{"image_id": 1, "cat', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b'{"annotations": []}', "holds a dict, not a list"),
        (b"null", "holds a NoneType, not a list"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_files_that_are_no_results(tmp_path, content, complaint):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    assert_refused(path, "results.json", complaint)


def test_missing_files(tmp_path):
    assert_refused(tmp_path / "absent.json", "absent.json", "no such results file")
    assert_refused(tmp_path, "no such results file")
    assert_refused(tmp_path / ("long" * 100), "cannot be read (File name too long)")


@pytest.mark.parametrize("number", range(6))
def test_detections_are_written_a_few_at_a_time(tmp_path, monkeypatch, number):
    monkeypatch.setattr(results, "_AT_A_TIME", 2)
    detections = noisy_detections(ANNOTATIONS, 1)[:number]
    for written in (detections, ResultArrays.of(detections)):
        save_results(tmp_path / "results.json", written)
        assert (tmp_path / "results.json").read_text() == json.dumps(detections)


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([GOOD]), encoding="utf-8-sig")
    assert load_results(tmp_path / "results.json", ANNOTATIONS) == [GOOD]


def test_scores_may_be_asked_to_be_probabilities():
    scored = [{**GOOD, "score": score} for score in (0, 0.5, 1, 1.0000001)]
    assert load_results(scored, ANNOTATIONS, probabilities=True) == scored
    for score in (-0.1, 1.1, 98.5):
        other = [*scored, {**GOOD, "score": score}]
        assert load_results(other, ANNOTATIONS) == other
        with pytest.raises(DataError, match=rf"1 of 5 detections have a score outside \[0, 1\] \(first: {score}\)"):
            load_results(other, ANNOTATIONS, probabilities=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image_id": 99}, "refer to images that the annotations lack (first: 99); "),
        ({"image_id": "2"}, "refer to images that the annotations lack (first: '2')"),
        ({"image_id": [2]}, "refer to images that the annotations lack"),
        ({"category_id": 3}, "refer to categories that the annotations lack (first: 3); "),
        ({"category_id": None}, "refer to categories that the annotations lack (first: None)"),
        ({"bbox": [1, 2, 3]}, "have a bbox that is not four finite numbers"),
        ({"bbox": "1234"}, "have a bbox"),
        ({"bbox": None}, "have a bbox"),
        ({"bbox": [1, 2, math.inf, 4]}, "have a bbox"),
        ({"bbox": [1, 2, 3, "4"]}, "have a bbox"),
        ({"bbox": [1, 2, 3, 10**400]}, "have a bbox"),
        ({"bbox": [9, 9, -3, 4]}, "have a bbox"),
        ({"score": math.nan}, "have a score that is not a finite number (first: image 2); "),
        ({"score": "0.5"}, "have a score"),
        ({"score": None}, "have a score"),
    ],
)
def test_bad_entries_are_counted_and_named(change, complaint):
    assert_refused([GOOD, {**GOOD, **change}], "the results: 1 of 2 detections", complaint)


def test_missing_keys_are_named_by_their_place():
    without_score = {key: value for key, value in GOOD.items() if key != "score"}
    assert_refused([GOOD, without_score, 7], "2 of 3 detections lack one of", "score (first: entry 1, entry 2); ")


def test_only_the_first_few_ids_are_listed_and_each_once():
    strangers = [{**GOOD, "image_id": image} for image in (70, 70, 80, 90, 100)]
    assert_refused(strangers, "5 of 5 detections", "(first: 70, 80, 90)", "(those know 1, 2, 3, 4, …)")


def test_numpy_numbers_in_memory_are_numbers():
    entry = {"image_id": np.int64(2), "category_id": 7, "bbox": [np.float32(1)] * 4, "score": np.float32(0.5)}
    assert load_results([entry], ANNOTATIONS) == [entry]
    assert_refused([{**entry, "score": np.float32(math.inf)}], "have a score")


def test_json_reads_what_was_refused_as_nan(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{**GOOD, "score": math.nan}]))  # JSON as Python and mmdet write it: NaN
    assert_refused(path, "score that is not a finite number")


def assert_refused(source, *complaints):
    with pytest.raises(DataError) as error:
        load_results(source, ANNOTATIONS)
    for complaint in complaints:
        assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def annotations_file(tmp_path):
    (tmp_path / "annotations.json").write_text(json.dumps(ANNOTATIONS))
    return tmp_path / "annotations.json"


def test_several_files_are_read_under_their_names(annotations_file, tmp_path):
    files = {name: tmp_path / f"{name}.json" for name in ("mine", "all of theirs")}
    for seed, file in enumerate(files.values()):
        save_results(file, noisy_detections(ANNOTATIONS, seed))
    expected = ANNOTATIONS, {name: load_results(file, ANNOTATIONS) for name, file in files.items()}
    assert load_named_results(files, annotations_file) == expected
    assert load_named_results([f"{name}={file}" for name, file in files.items()], annotations_file) == expected


@pytest.mark.parametrize(
    ("results", "complaint"),
    [
        (["good.json"], "results=good.json is not of the form NAME=FILE"),
        (["x="], "is not of the form NAME=FILE"),
        (["=good.json"], "is not of the form NAME=FILE"),
        (["x=good.json", "x=good.json"], "results: the name x stands twice"),
    ],
)
def test_names_without_files_and_names_twice_are_refused(annotations_file, results, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_named_results(results, annotations_file)


def test_results_without_annotations_are_refused():
    with pytest.raises(UsageError, match="results needs annotations=FILE"):
        load_named_results(["x=good.json"], None)


def test_named_results_are_read_when_they_are_asked_for_and_missing_ones_are_missed_at_once(annotations_file, tmp_path):
    (tmp_path / "cut.json").write_text("[{")
    save_results(tmp_path / "whole.json", [GOOD])
    files = {"cut": tmp_path / "cut.json", "whole": tmp_path / "whole.json"}
    _, found = load_named_results(files, annotations_file)
    assert list(found) == ["cut", "whole"]
    assert found["whole"] == [GOOD]
    assert found["whole"] is not found["whole"]
    with pytest.raises(DataError, match="not JSON"):
        found["cut"]
    with pytest.raises(DataError, match=r"gone\.json: no such results file"):
        load_named_results({**files, "gone": tmp_path / "gone.json"}, annotations_file)


def test_named_results_may_be_asked_to_be_probabilities(annotations_file, tmp_path):
    save_results(tmp_path / "x.json", [{**GOOD, "score": 7}])
    assert len(load_named_results({"x": tmp_path / "x.json"}, annotations_file)[1]["x"]) == 1
    _, probabilities = load_named_results({"x": tmp_path / "x.json"}, annotations_file, probabilities=True)
    with pytest.raises(DataError, match=r"a score outside \[0, 1\]"):
        probabilities["x"]


def test_masks_are_decoded_from_every_form_they_have():
    mask = np.zeros((2, 6, 8), bool)
    mask[0, 1:4, 2:7] = mask[1, :, 3] = True
    encoded = encode_masks(mask)
    assert (decode_masks(encoded, (6, 8)) == mask).all()
    polygon = [[2, 1, 7, 1, 7, 4, 2, 4]]
    runs = {"size": [6, 8], "counts": [18, 6, 24]}
    assert (decode_masks([polygon, runs], (6, 8)) == mask).all()
    assert decode_masks([], (6, 8)).shape == (0, 6, 8)
