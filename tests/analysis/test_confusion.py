import csv

import numpy as np
from PIL import Image

from rgacli.analysis import confusion
from rgacli.evaluation.coco_metrics import evaluate
from tests.evaluation.coco_samples import noisy_detections, random_annotations


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_pairs_that_occur_are_beside_the_figure(tmp_path):
    annotations = random_annotations(0)
    evaluations = {head: evaluate(annotations, noisy_detections(annotations, seed)) for seed, head in enumerate("ab")}
    confusion.plot(evaluations, 0.3, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.width == 2 * image.height
    read = rows(tmp_path / "confusion.csv")
    names = ["class 1", "class 2", "class 7", confusion.BACKGROUND]
    for head, evaluation in evaluations.items():
        matrix = np.zeros((4, 4), int)
        for row in read:
            if row["head"] == head:
                matrix[names.index(row["true"]), names.index(row["found"])] = row["count"]
        assert (matrix == evaluation.confusion(0.3)).all()
        shares = [float(row["share"]) for row in read if (row["head"], row["true"]) == (head, "class 1")]
        assert np.isclose(sum(shares), 1)


def test_of_many_classes_those_with_the_most_errors_are_drawn(monkeypatch):
    monkeypatch.setattr(confusion, "_MOST_DRAWN", 2)
    matrix = np.array([[90, 0, 0, 0], [0, 3, 1, 4], [0, 2, 0, 0], [0, 0, 5, 0]])
    assert confusion._most_confused(matrix).tolist() == [1, 2, 3]
