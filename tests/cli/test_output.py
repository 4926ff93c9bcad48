import errno
import json
import math
import os

import pytest

from rgacli.cli import output, progress
from rgacli.cli.app import main
from rgacli.cli.output import counted, print_json, print_table
from rgacli.cli.progress import Meter, live_progress
from rgacli.cli.stdout import flushed_stdout
from rgacli.evaluation.max_dets import max_dets_for
from tests.cli.commands import error_line, invoke
from tests.support.dense import crowded


def body(text):
    """The cells of a printed table, below its heading."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]


def test_numbers_have_three_decimals_and_what_is_unknown_a_dash(capsys):
    print_table("title", {"a": "A", "b": "B"}, [{"a": 1, "b": 0.12345}, {"a": None, "b": math.nan}, {}])
    text = capsys.readouterr().out
    assert text.startswith("title\n")
    assert body(text) == [["1", "0.123"], ["-", "-"], ["-", "-"]]


def test_names_give_a_terminal_no_commands(capsys):
    print_table("title", {"a": "A"}, [{"a": "red\x1b[31m\x9bbell\a"}])
    output.say("a class named \x1b]0;mine\a, on two\nlines")
    found = capsys.readouterr()
    assert body(found.out) == [[r"red\x1b[31m\x9bbell\x07"]]
    assert found.err == "a class named \\x1b]0;mine\\x07, on two\nlines\n"


def test_a_group_is_named_once_and_parted_from_the_next(capsys):
    rows = [{"group": group, "value": value} for group in "ab" for value in (1, 2)]
    print_table("title", {"group": "G", "value": "V"}, rows, group="group")
    text = capsys.readouterr().out
    assert [row[0] for row in body(text)] == ["a", "", "b", ""]
    assert sum(line.startswith("├") for line in text.splitlines()) == 1


def test_a_table_without_headings_has_no_heading_row(capsys):
    print_table("title", {"a": "", "b": ""}, [{"a": "x", "b": "y"}])
    assert "┃" not in capsys.readouterr().out


def test_markup_in_names_is_text(capsys):
    print_table("[bold]title", {"a": "A"}, [{"a": "[red]x"}, {"a": "[/x] :cat:"}])
    text = capsys.readouterr().out
    assert "[bold]title" in text
    assert body(text) == [["[red]x"], ["[/x] :cat:"]]


@pytest.mark.parametrize(
    ("counts", "asked", "words"),
    [
        ([100], None, "100 detections an image"),
        (
            [150],
            None,
            "200 detections an image (the densest image has 150 objects); --max-dets 100 is COCO's official number",
        ),
        ([150], 100, "100 detections an image, COCO's official number, but the densest image has 150 objects"),
        ([7], 300, "300 detections an image; --max-dets 100 is COCO's official number"),
    ],
)
def test_titles_say_how_many_detections_count_and_where_it_matters_why(counts, asked, words):
    assert counted(max_dets_for(crowded(counts), asked)) == words


def test_json_has_null_for_what_is_no_number(capsys):
    print_json({"a": [math.nan, 1.5], "b": {"c": math.inf, "d": (1, "x")}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None, "d": [1, "x"]}}


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves by hand."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_without_a_terminal_a_line_comes_now_and_then_and_at_the_end(capsys, clock):
    with live_progress() as report:
        for done in range(1, 31):
            clock.now += 2
            report("work", done, 30, f"note {done}")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["6/30", "11/30", "16/30", "21/30", "26/30", "30/30"]
    assert lines[0] == "work  6/30  0.50/s  ETA 0:00:48  note 6"


def test_a_rate_is_that_since_the_first_update(capsys, clock):
    """Not that of a resumed job's earlier part, nor of warming up."""
    meter = Meter(None, "work", 100)
    for done in (88, 90):
        clock.now += 10
        meter.update(done)
    assert capsys.readouterr().err == "work  88/100\nwork  90/100  0.20/s  ETA 0:00:50\n"


def test_one_update_tells_no_rate(capsys, clock):
    Meter(None, "work", 4).update(4)
    assert capsys.readouterr().err == "work  4/4\n"


def test_a_job_that_outgrows_its_total_has_no_time_left(capsys, clock):
    meter = Meter(None, "work", 2)
    for done in (2, 3):
        clock.now += 10
        meter.update(done)
    assert capsys.readouterr().err.splitlines()[1] == "work  3/2  0.10/s  ETA 0:00:00"


def test_tasks_go_on_side_by_side_and_one_that_ends_may_come_again(capsys, clock):
    with live_progress() as report:
        for task, done in (("training", 1), ("validation", 2), ("training", 2), ("validation", 2)):
            report(task, done, 2)
    assert capsys.readouterr().err == "validation  2/2\ntraining  2/2\nvalidation  2/2\n"


@pytest.mark.parametrize(("device", "seen"), [("auto", "0"), ("cpu", "")])
def test_choosing_the_cpu_hides_the_gpus(folder, monkeypatch, device, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    invoke("eval", "gone", "--device", device)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_messages_go_to_stderr_as_they_are(capsys):
    output.say("[/x] :cat: " + "long " * 40)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["[/x] :cat: " + "long " * 40]


def test_a_reader_that_closes_the_pipe_is_no_error(monkeypatch):
    def write_to_a_closed_pipe(*arguments, **options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("rgacli.api.evaluate.find_trained", write_to_a_closed_pipe)
    done = invoke("eval")
    assert done.exit_code == 1
    assert "error" not in done.stderr
    assert "Broken pipe" not in done.stderr


def test_an_interrupt_that_was_taken_for_an_error_is_none(monkeypatch):
    """mmengine formats a config by what it takes for a fault of the config if it is stopped."""

    def formats(*arguments, **options):
        try:
            raise KeyboardInterrupt
        except BaseException:
            raise SyntaxError("failed to format the config") from None

    monkeypatch.setattr("rgacli.api.evaluate.find_trained", formats)
    done = invoke("eval")
    assert done.exit_code == 130
    assert "error" not in done.stderr


def test_a_whole_column_is_never_folded(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    name = "faster-rcnn_r50_fpn_1x"
    columns = {"name": "name", "what": "what"}
    output.print_table("names", columns, [{"name": name, "what": "as many words as fill three lines"}], whole="name")
    lines = capsys.readouterr().out.splitlines()
    assert sum(name in line for line in lines) == 1
    assert max(map(len, lines)) == 40


@pytest.mark.parametrize("size", [1, 10_000])  # more than a buffer takes
def test_a_full_stdout_is_an_error_while_it_can_be_told(size, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(OSError, match="No space left") as caught, flushed_stdout():
            print_json({"AP": [0.5] * size})
        assert caught.value.filename == "stdout"
    # closing it raised nothing: what was left is dropped


def test_an_error_of_another_file_stays_its_own():
    with pytest.raises(OSError, match="elsewhere"), flushed_stdout():
        raise OSError(errno.ENOSPC, "No space left on device", "elsewhere")


@pytest.mark.parametrize("words", [["--version"], ["configs", "--help"]])
def test_a_full_stdout_is_one_line_whatever_was_asked_for(words, monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as end:
            main(words, "rgacli")
    assert end.value.code == 1
    assert error_line(capsys.readouterr().err).startswith("error: the disk is full while writing stdout;")


def test_a_name_that_is_no_text_is_shown(tmp_path):
    """As a stdout in UTF-8 has it, which typer's CliRunner gives commands."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    image = {"id": 1, "file_name": "\ud800.jpg", "width": 8, "height": 8}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "\udce9"}]}
    (tmp_path / "annotations/train.json").write_text(json.dumps(content))
    result = invoke("data", "check", tmp_path)
    assert result.exit_code == 2
    assert r"\ud800.jpg" in result.stdout
    assert r"\udce9" in result.stdout
