import copy

import pytest
import torch

from rgacli.ensembles import timing
from tests.support import tiny


@pytest.fixture
def clock(monkeypatch):
    """A clock that only work moves: a list of one number of seconds."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_medians_are_of_differences_image_by_image(clock):
    calls = []

    def takes(name, seconds):
        def work(shared):
            calls.append((name, shared))
            clock[0] += seconds[shared]
            return shared

        return work

    shared, single = takes("prepare", [9, 1, 2, 1]), takes("single", [9, 5, 1, 1])
    ways = {"a": takes("a", [9, 6, 4, 9]), "b": takes("b", [9, 5, 0, 2])}
    found, added = timing.measure([1, 2, 3, 4], 3, shared, single, ways)
    assert found.single_seconds == 3  # of 1 + 5, 2 + 1, 1 + 1
    assert added == {"a": 3, "b": 0}  # of 1, 3, 8, and of 0, -1, 1
    assert found.images == 3
    rounds = [name for name, image in calls if image == 1]
    assert rounds.count("a") == rounds.count("single") == 4  # three times to warm up
    orders = [[name for name, seen in calls if seen == image] for image in (2, 3)]
    assert orders == [["prepare", "a", "b", "single"], ["prepare", "b", "single", "a"]]  # each goes first in turn


def test_what_is_done_is_told_and_the_device_named(monkeypatch, clock):
    done = []
    monkeypatch.setattr(timing, "get_device", lambda: "cpu")
    found, added = timing.measure("abc", 9, str, str, {}, progress=lambda *report: done.append(report))
    assert (done, added) == ([("timing", number, 3) for number in (1, 2, 3)], {})
    assert found.images == 3  # there are no more
    threads = torch.get_num_threads()
    assert found.device == f"CPU, {threads} thread{'s' * (threads > 1)}"


@torch.no_grad()
def test_what_is_timed_are_the_variants_detections():
    model = tiny.build(tiny.tiny_config().model).eval()
    tiny.scramble(model.roi_head)
    image = tiny.batch((2,))
    (expected,) = model.test_step(copy.deepcopy(image))
    ensemble, first = timing.by_heads(model, ["ensemble", "1to1"])(timing.proposed(model, copy.deepcopy(image)))
    boxes = torch.tensor([detection["bbox"] for detection in ensemble], dtype=torch.float32)
    boxes[:, 2:] += boxes[:, :2]
    torch.testing.assert_close(boxes, expected.pred_instances.bboxes)
    assert [d["category_id"] for d in ensemble] == expected.pred_instances.labels.tolist()
    assert len(ensemble) > 5
    assert ensemble != first


def test_an_image_without_detections_is_timed_as_well():
    nothing = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    assert timing.as_results(nothing) == []
