import json
import math
from dataclasses import replace

import pytest

from rgacli.errors import DataError, UsageError
from rgacli.reproduction.folder import SweepFolder
from rgacli.reproduction.jobs import Job, Step
from rgacli.reproduction.record import Record, adopt, read_record, seeds_in
from rgacli.reproduction.sweep import Claim, Quantity, Table

EVALUATE = Step("evaluate", {"head": "all"})
BINS = Step("gt_bins", {"bootstrap": 0})


def arm(name, *steps, after=(), **parameters):
    return Job(f"{name}-s0", name, 0, (Step("train", {"seed": 0, **parameters}), *steps), after)


PLAIN = arm("plain", EVALUATE)
RGA = arm("rga", EVALUATE, lr=0.0012345678)
ON = arm("on", EVALUATE, after=("plain-s0",))
PAIR = Job("two-s0", "two", 0, (Step("ensemble", {"timed": 0}),), ("on-s0", "rga-s0"))
JOBS = [PLAIN, RGA, ON, PAIR]
TABLE = Table("main", "what", (), (Claim("better", Quantity.parse("rga/AP - plain/AP"), paper=1.2),))


def finish(folder, *jobs):
    for job in jobs:
        for step in job.steps:
            folder.write_result(job.name, step, {"AP": 100 / 3}, seconds=1.5)


def give_run(folder, job):
    path = folder.path / "runs" / job.name / "checkpoints" / "epoch_1.pth"
    path.parent.mkdir(parents=True)
    path.touch()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records" / "mine.json"


@pytest.fixture
def elsewhere(tmp_path):
    return SweepFolder(tmp_path / "elsewhere")


@pytest.fixture
def recorded(path, elsewhere):
    """Has a record of jobs that another folder's sweep has finished."""

    def record(*jobs):
        finish(elsewhere, *jobs)
        Record(path, jobs, {}).write(elsewhere, [])

    return record


@pytest.fixture
def folder(tmp_path):
    return SweepFolder(tmp_path / "here")


def test_a_record_has_all_that_was_found(path, elsewhere):
    finish(elsewhere, PLAIN)
    Record(path, JOBS, {"title": "mine ±", "scale": None}).write(elsewhere, [TABLE])
    text = path.read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=pytest.fail)
    assert "mine ±" in text
    assert content == read_record(path)
    assert (content["title"], content["scale"]) == ("mine ±", None)
    assert content["jobs"] == {
        "plain-s0": {
            step.function: {"parameters": step.parameters, "numbers": {"AP": 33.3333}, "seconds": 1.5}
            for step in PLAIN.steps
        }
    }
    (claim,) = content["tables"][0]["claims"]
    assert (claim["claim"], claim["mean"], claim["low"], claim["paper"]) == ("better", None, None, 1.2)


def test_what_a_record_has_of_other_jobs_and_tables_stays(path, elsewhere, folder):
    finish(elsewhere, PLAIN, RGA)
    Record(path, [PLAIN, RGA], {"title": "then"}).write(elsewhere, [TABLE])
    finish(folder, ON)
    Record(path, [PLAIN, ON], {"title": "now"}).write(folder, [replace(TABLE, name="other")])
    content = read_record(path)
    assert content["title"] == "now"
    assert list(content["jobs"]) == ["plain-s0", "rga-s0", "on-s0"]
    assert [table["name"] for table in content["tables"]] == ["main", "other"]
    Record(path, [PLAIN, RGA], {}).write(folder, [TABLE])  # a folder that has neither
    assert {**read_record(path), "title": "now"} == content


def test_a_table_is_judged_by_the_seeds_that_a_record_has_as_well(path, elsewhere, folder):
    later = [replace(job, name=f"{job.arm}-s1", seed=1) for job in (PLAIN, RGA)]
    finish(elsewhere, PLAIN, RGA)
    Record(path, [PLAIN, RGA], {}).write(elsewhere, [TABLE])
    finish(folder, *later)
    record = Record(path, [PLAIN, RGA, *later], {})
    record.write(folder, [TABLE])
    assert read_record(path)["tables"][0]["claims"][0]["seeds"] == [0, 1]
    assert record.numbers([PLAIN]) == {"plain": {0: {"AP": 33.3333}}}


def test_a_step_that_was_found_anew_takes_its_place_and_the_others_stay(path, elsewhere, folder):
    finish(elsewhere, PLAIN)
    Record(path, [PLAIN], {}).write(elsewhere, [])
    folder.write_result("plain-s0", EVALUATE, {"AP": 1.0})
    Record(path, [PLAIN], {}).write(folder, [])
    found = read_record(path)["jobs"]["plain-s0"]
    assert [found[step.function]["numbers"]["AP"] for step in PLAIN.steps] == [33.3333, 1.0]


def test_a_record_of_other_trainings_is_refused(path, elsewhere):
    about = {"scale": None, "common": {"data": "embedded"}, "seeds": [0, 1]}
    assert seeds_in(path, about) == ()
    Record(path, [], about).write(elsewhere, [])
    assert seeds_in(path, {**about, "seeds": [4]}) == [0, 1]
    with pytest.raises(UsageError, match=r"is of other trainings .*'epochs': 1.*: name another file"):
        seeds_in(path, {**about, "common": {"data": "embedded", "epochs": 1}})
    with pytest.raises(UsageError, match="scale: None, not small"):
        seeds_in(path, {**about, "scale": "small"})


def test_a_record_of_jobs_alone_is_added_to(path, folder):
    path.parent.mkdir()
    path.write_text('{"format": 1, "jobs": {}, "scale": null, "common": {}}')
    assert seeds_in(path, {"scale": None, "common": {}}) == ()
    finish(folder, PLAIN)
    Record(path, [PLAIN], {}).write(folder, [TABLE])
    assert list(read_record(path)["jobs"]) == ["plain-s0"]


def test_numbers_that_are_unknown_are_null(path, elsewhere):
    elsewhere.write_result("plain-s0", EVALUATE, {"AP": math.nan})
    Record(path, [PLAIN], {}).write(elsewhere, [])
    assert read_record(path)["jobs"]["plain-s0"]["evaluate"]["numbers"] == {"AP": None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "record {} does not exist."),
        ("{", "record {} is no JSON: Expecting property name"),
        ("[]", "{} is no record of a sweep of this version."),
        ('{"format": 1}', "{} is no record of a sweep of this version."),
        ('{"format": 2, "jobs": {}}', "{} is no record of a sweep of this version."),
    ],
)
def test_what_is_no_record_is_told(tmp_path, text, told):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError) as refused:
        read_record(path)
    assert refused.value.message.startswith(told.format(path))


def test_what_a_record_has_is_finished(path, recorded, folder):
    recorded(*JOBS)
    assert adopt(path, folder, JOBS) == 4
    assert all(map(folder.is_finished, JOBS))
    assert folder.numbers([PLAIN]) == {"plain": {0: {"AP": 33.3333}}}
    assert folder.result(PLAIN, EVALUATE)["seconds"] == 1.5
    assert adopt(path, folder, JOBS) == 0


def test_what_was_found_here_stays(path, recorded, folder):
    recorded(PLAIN)
    folder.write_result("plain-s0", EVALUATE, {"AP": 1.0})
    give_run(folder, PLAIN)
    assert adopt(path, folder, [PLAIN]) == 1
    assert folder.result(PLAIN, EVALUATE)["numbers"] == {"AP": 1.0}


def test_a_job_that_is_called_otherwise_is_not_taken(path, recorded, folder):
    recorded(PLAIN, RGA)
    longer = arm("rga", EVALUATE, lr=0.0012345678, epochs=2)
    assert adopt(path, folder, [PLAIN, longer]) == 1
    assert folder.is_finished(PLAIN)
    assert folder.result(longer, longer.steps[0]) is None


@pytest.mark.parametrize("is_here", [True, False])
def test_a_job_whose_run_others_need_is_taken_only_with_its_run(path, recorded, folder, is_here):
    recorded(PLAIN, RGA)
    if is_here:
        give_run(folder, PLAIN)
    assert adopt(path, folder, [PLAIN, RGA, ON]) == (2 if is_here else 1)
    assert folder.is_finished(RGA)
    assert folder.is_finished(PLAIN) == is_here


def test_what_a_forgotten_job_needs_is_forgotten_too(path, recorded, folder):
    """The pair needs `on`, which is trained again, and starts from `plain`."""
    recorded(PLAIN, RGA, ON)
    assert adopt(path, folder, JOBS) == 0
    assert not any(map(folder.is_finished, JOBS))


@pytest.mark.parametrize("is_here", [True, False])
def test_a_job_that_is_to_be_measured_by_more_is_taken_only_with_its_run(path, recorded, folder, is_here):
    recorded(PLAIN)
    more = replace(PLAIN, steps=(*PLAIN.steps, BINS))
    if is_here:
        give_run(folder, PLAIN)
    assert adopt(path, folder, [more]) == 0
    assert [folder.result(more, step) is not None for step in more.steps] == [is_here, is_here, False]
