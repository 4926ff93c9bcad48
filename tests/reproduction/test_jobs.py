from dataclasses import replace

import pytest

from rgacli.reproduction.jobs import EMBEDDED, EMBEDDED_TEST, Job, Step, call_of, plan
from rgacli.reproduction.sweep import Figure, Quantity, Row, Sweep, Table


def table(name, *arms, **more):
    return Table(name, name, tuple(Row(arm, {"AP": Quantity.parse(f"{arm}/AP")}) for arm in arms), **more)


SWEEP = Sweep(
    name="mine",
    title="a sweep",
    arms={"a": {"config": "x"}, "b": {"lambda0": 7}, "on": {"epochs": 2}, "on2": {}, "unasked": {}},
    combined={"two": ("a", "b"), "two-on": ("on2", "on")},
    trained_from={"on": "b", "on2": "a"},
    tables=(
        table("first", "two", "b", measures=("evaluate",)),
        table("second", "on", "b", measures=("gt_bins", "evaluate"), figure=Figure("gt_bins", ("b", "on"))),
        table("third", "two-on"),
    ),
)


def planned(*names, seeds=(0, 1), common=None, **more):
    return plan(SWEEP, [SWEEP.table(name) for name in names], seeds=seeds, common=common or {}, **more)


def test_jobs_come_seed_by_seed_and_sources_before_what_needs_them():
    assert [job.name for job in planned("first", "second", seeds=(3, 1))] == [
        *("a-s3", "b-s3", "on-s3", "two-s3", "second"),
        *("a-s1", "b-s1", "on-s1", "two-s1"),
    ]


@pytest.mark.parametrize("names", [("first",), ("second",), ("third",), ("third", "second", "first")])
def test_each_job_stands_once_and_after_those_that_it_needs(names):
    jobs = planned(*names)
    seen = []
    for job in jobs:
        assert job.name not in seen
        assert set(job.after) <= set(seen)
        seen.append(job.name)


def test_arms_that_members_of_a_combination_start_from_are_trained_too():
    assert [job.name for job in planned("third", seeds=(0,))] == ["a-s0", "on2-s0", "b-s0", "on-s0", "two-on-s0"]


def test_an_arm_is_measured_by_all_that_its_tables_ask_and_a_source_not_at_all():
    jobs = {job.name: [step.function for step in job.steps] for job in planned("first", "second", seeds=(0,))}
    assert jobs == {
        "a-s0": ["train"],
        "b-s0": ["train", "evaluate", "gt_bins"],
        "on-s0": ["train", "gt_bins", "evaluate"],
        "two-s0": ["ensemble"],
        "second": ["gt_bins"],
    }


def test_a_figure_is_of_the_first_seed():
    figure = next(job for job in planned("second", seeds=(3, 1)) if job.name == "second")
    assert (figure.seed, figure.after, figure.trains) == (3, ("b-s3", "on-s3"), False)


def test_what_an_arm_says_is_put_over_what_all_have_and_the_config_stands_first():
    jobs = {
        job.arm: job.steps[0].parameters for job in planned("first", seeds=(4,), common={"epochs": 9, "config": "y"})
    }
    assert jobs["a"] == {"config": "x", "epochs": 9, "seed": 4}
    assert list(jobs["b"].items()) == [("config", "y"), ("epochs", 9), ("lambda0", 7), ("seed", 4)]


def test_a_device_is_of_all_steps_that_take_one():
    jobs = plan(
        SWEEP,
        [table("t", "b", "two", measures=("evaluate", "gt_bins", "positives", "accuracy", "gradients", "scores"))],
        seeds=(0,),
        common={},
        device="cpu",
    )
    steps = [step for job in jobs for step in job.steps]
    assert {step.function for step in steps if "device" not in step.parameters} == {
        "positives",
        "accuracy",
        "gradients",
    }
    assert all(step.parameters["device"] == "cpu" for step in steps if "device" in step.parameters)
    assert not any("device" in step.parameters for job in planned("first", "second") for step in job.steps)


def test_bins_are_of_all_steps_that_take_them():
    measures = ("evaluate", "gt_bins", "positives", "proposals", "scores")
    asked = table("t", "b", "two", measures=measures, figure=Figure("gt_bins", ("b",)))
    jobs = plan(replace(SWEEP, bins="1-5,6+"), [asked], seeds=(0,), common={})
    found = {(job.arm, step.function) for job in jobs for step in job.steps if step.parameters.get("bins") == "1-5,6+"}
    assert found == {("b", "gt_bins"), ("b", "proposals"), ("b", "scores"), ("two", "ensemble"), ("t", "gt_bins")}


def calls(tmp_path, *names):
    return {
        (job.name, step.function): call_of(tmp_path, job, step)
        for job in planned(*names, seeds=(0,))
        for step in job.steps
    }


def test_a_call_says_which_run_and_where(tmp_path):
    found = calls(tmp_path, "first", "second")
    runs = tmp_path / "runs"
    assert found["b-s0", "train"] == {"lambda0": 7, "seed": 0, "work_dir": str(runs / "b-s0")}
    assert found["b-s0", "evaluate"] == {"run": str(runs / "b-s0"), "head": "all"}
    assert found["b-s0", "gt_bins"] == {"runs": str(runs / "b-s0"), "bootstrap": 0}
    assert found["two-s0", "ensemble"] == {
        **{"runs": [str(runs / "a-s0"), str(runs / "b-s0")], "method": ["ensemble"], "bootstrap": 2, "timed": 0},
        "out": str(tmp_path / "figures" / "two-s0"),
    }
    assert found["second", "gt_bins"] == {
        "runs": [str(runs / "b-s0"), str(runs / "on-s0")],
        "out": str(tmp_path / "figures" / "second"),
    }


def test_an_arm_starts_from_the_last_checkpoint_of_its_source_of_the_same_seed(tmp_path):
    checkpoints = tmp_path / "runs" / "b-s0" / "checkpoints"
    assert calls(tmp_path, "second")["on-s0", "train"]["weights"] == str(checkpoints / "LAST.pth")  # not yet there
    checkpoints.mkdir(parents=True)
    for epoch in (9, 10):
        (checkpoints / f"epoch_{epoch}.pth").touch()
    (checkpoints / "last_checkpoint").write_text(str(checkpoints / "epoch_10.pth"))
    assert calls(tmp_path, "second")["on-s0", "train"]["weights"] == str(checkpoints / "epoch_10.pth")


def test_the_embedded_dataset_is_the_one_of_many_test_images(tmp_path, cache):
    job = Job("a-s0", "a", 0, (Step("train", {"data": EMBEDDED}),))
    found = call_of(tmp_path, job, job.steps[0])["data"]
    assert found.startswith(str(cache))
    assert found.endswith(f"test{EMBEDDED_TEST}")
    assert job.steps[0].parameters == {"data": EMBEDDED}
