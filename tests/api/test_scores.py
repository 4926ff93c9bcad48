import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rgacli.analysis.scores.collecting import outputs
from rgacli.analysis.scores.rows import BY_CLASS, FOREGROUND, HeadScores
from rgacli.analysis.scores.tally import ScoreTally
from rgacli.api.scores import scores
from rgacli.errors import UsageError


@pytest.fixture
def run(tmp_path, finished_run, monkeypatch):
    """A copy of the run, which is runs/base in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished_run, tmp_path / "runs/base"))


def test_outputs_are_those_that_any_head_scores_high_enough():
    of_heads = torch.tensor([[[0.6, 0.1, 0.3], [0.02, 0.01, 0.97]], [[0.1, 0.02, 0.88], [0.01, 0.08, 0.91]]])
    assert outputs(of_heads, "class", 0.05).tolist() == torch.tensor([[0.6, 0.1, 0.01], [0.1, 0.02, 0.08]]).tolist()
    np.testing.assert_allclose(outputs(of_heads, "foreground", 0.05), [[0.7, 0.03], [0.12, 0.09]], atol=1e-6)
    assert outputs(of_heads, "class", 0).shape == (2, 4)
    assert outputs(of_heads, "class", 0.7).shape == (2, 0)


def test_a_runs_heads_are_compared_on_every_image(run, undrawn):
    seen = []
    result = scores("base", bins="1-4,5+", min_score=0, progress=lambda *report: seen.append(report))
    assert result.about == {"runs": ["base"], "split": "test", "min_score": 0, "bins": "1-4,5+"}
    assert result.figure == Path("runs/base/figures/test/scores.png")
    assert seen == [("scores", 1, 2), ("scores", 2, 2)]
    (all_classes,) = {row.outputs for row in result.rows if (row.score, row.bin) == ("class", "all")}
    (boxes,) = {row.outputs for row in result.rows if (row.score, row.bin) == ("foreground", "all")}
    assert all_classes == 10 * boxes > 0  # of ten classes
    assert [row.heads for row in result.rows[:3]] == [("1:1",), ("1:9",), ("1:1", "1:9")]
    first, second, difference = result.rows[:3]
    assert first.mean - second.mean == pytest.approx(difference.mean)
    assert len(result.finding.disagreement["base"]) == 2


def test_several_runs_are_overlaid_by_their_names(run, undrawn, monkeypatch):
    def counted(detector, bins, *, run, **options):
        tallies = {score: ScoreTally([0, 1], bins) for score in (BY_CLASS, FOREGROUND)}
        for tally in tallies.values():
            tally.add(1, 2, np.array([[0.9], [len(run) / 10]]))
        return HeadScores(run, ("1:1", "1:9"), tallies)

    monkeypatch.setattr("rgacli.api.scores.collect", counted)
    shutil.copytree(run, "runs/other")
    result = scores(["base", "other"])
    assert result.figure == Path("figures/test/scores.png")
    differences = {row.run: row.mean for row in result.finding.pairs() if row.bin == "all"}
    assert differences == pytest.approx({"base": 0.5, "other": 0.4})


def test_what_cannot_be_compared_is_told_of_before_the_work(run, monkeypatch):
    monkeypatch.setattr("rgacli.api.scores.collect", None)
    with pytest.raises(UsageError, match=r"min_score=1\.5: it must be between 0 and 1"):
        scores("base", min_score=1.5)
    config = run / "config.py"
    config.write_text(config.read_text() + "\nmodel['roi_head']['ratios'] = ['1:3']")
    with pytest.raises(UsageError, match="base has a single R-CNN head"):
        scores("base")
    assert not (run / "figures").exists()
