from rgacli.bench import coco_sized, evaluation


def test_the_libraries_agree_and_every_part_is_timed():
    found = evaluation.measure(images=24, samples=4, reference_samples=2)
    assert found["greatest_difference"]["pycocotools"] < 1e-6
    for seconds in found["seconds"].values():
        assert set(seconds) == {"matching", "metrics", "bootstraps", "all"}
        assert seconds["all"] == sum(seconds[part] for part in ("matching", "metrics", "bootstraps"))
    theirs, ours = (found["seconds"][name]["all"] for name in ("pycocotools", "rgacli"))
    assert found["speed_up"]["pycocotools"] == theirs / ours
    assert found["extrapolated"] == "the others' bootstraps: 2 of 4 samples a bin were timed"


def test_nothing_is_extrapolated_that_was_timed():
    assert evaluation.measure(images=6, samples=1, reference_samples=3)["extrapolated"] == "nothing"


def test_made_up_detections_are_like_cocos():
    truth = coco_sized.annotations(300)
    found = coco_sized.detections(truth)
    assert len(found) == 300 * coco_sized.DETECTIONS
    assert 5 < len(truth["annotations"]) / 300 < 10
