import json

import pytest

from rgacli.ensembles.results_files import ResultsEnsemble
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.results import save_results
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0)
A, B = noisy_detections(ANNOTATIONS, 1), noisy_detections(ANNOTATIONS, 2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with two results files and their annotations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotations.json").write_text(json.dumps(ANNOTATIONS))
    save_results("a.json", A)
    save_results("b.json", B)
    return tmp_path


def test_members_are_what_the_files_hold_and_methods_what_needs_no_more():
    ensemble = ResultsEnsemble(["mine=a.json", "theirs=b.json"], "annotations.json")
    assert ensemble.name == "mine + theirs"
    assert ensemble.choose() == ["joint-nms", "wbf", "oracle"]
    found = ensemble.detect(["joint-nms"], [])
    assert {name: list(own) for name, own in found.members.items()} == {"mine": A, "theirs": B}
    assert found.methods == {}
    with pytest.raises(UsageError, match="method=ensemble: it takes detectors, and results files hold their boxes"):
        ensemble.choose(["ensemble"])


def test_scores_that_cannot_be_compared_are_refused():
    save_results("b.json", [{**entry, "score": 100 * entry["score"]} for entry in B])
    with pytest.raises(DataError, match=r"^b\.json: .* have a score outside \[0, 1\]"):
        ResultsEnsemble(["mine=a.json", "theirs=b.json"], "annotations.json")


@pytest.mark.parametrize(
    ("results", "complaint"),
    [
        (["mine=a.json"], "results names a single file: nothing to combine"),
        (["mine=a.json", "mine=b.json"], "the name mine stands twice"),
        (["wbf=a.json", "mine=b.json"], "wbf is the name of a method"),
        (["mine", "theirs=b.json"], "results=mine is not of the form NAME=FILE"),
        (["mine=a.json", "theirs=gone.json"], "gone.json: no such results file"),
    ],
)
def test_results_that_cannot_be_combined_are_refused(results, complaint):
    with pytest.raises(UsageError, match=complaint):
        ResultsEnsemble(results, "annotations.json")
