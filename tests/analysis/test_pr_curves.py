import csv

import numpy as np
import pytest
from PIL import Image

from rgacli.analysis import pr_curves
from rgacli.evaluation.coco_metrics import evaluate
from tests.evaluation.coco_samples import noisy_detections, random_annotations


@pytest.fixture
def evaluations():
    annotations = random_annotations(0)
    annotations["categories"].append({"id": 9, "name": "never there"})
    return {head: evaluate(annotations, noisy_detections(annotations, seed)) for seed, head in enumerate(("1:1", "x$"))}


def test_the_area_under_a_curve_is_ap(evaluations):
    curves = pr_curves.collect(evaluations)
    means = {(curve.head, curve.iou): curve.precision for curve in curves if curve.name == pr_curves.MEAN}
    for head, evaluation in evaluations.items():
        for iou, key in ((0.5, "AP50"), (0.75, "AP75")):
            assert means[head, iou].mean() == pytest.approx(evaluation.overall[key])
        classes = [curve for curve in curves if curve.head == head and curve.name != pr_curves.MEAN]
        assert [curve.name for curve in classes] == ["class 1", "class 2", "class 7"]
        assert np.mean([curve.precision for curve in classes], axis=0) == pytest.approx(means[head, 0.5])


def test_the_figure_has_a_panel_per_head_and_its_points_beside_it(evaluations, tmp_path):
    pr_curves.plot(pr_curves.collect(evaluations), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1440, 720)
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (2 + 3) * 101
    assert rows[0].keys() == {"head", "class", "iou", "recall", "precision"}
    assert {row["recall"] for row in rows} == {str(round(step / 100, 2)) for step in range(101)}
