import pytest
import torch

from rgacli.engine.resuming import checkpoint_to_resume
from rgacli.errors import UsageError
from rgacli.runs import Run


@pytest.fixture
def run(tmp_path):
    """A run of three epochs of four iterations, which was stopped in its fourth."""
    found = Run(tmp_path / "mine")
    found.checkpoints.mkdir(parents=True)
    for name, iteration in (("epoch_1", 4), ("epoch_2", 8), ("epoch_3", 12), ("iter_14", 14)):
        content = {"state_dict": {"a": torch.arange(99.0)}, "meta": {"iter": iteration}}
        torch.save(content, found.checkpoints / f"{name}.pth")
    (found.path / "logs").mkdir()
    (found.path / "logs/last_checkpoint").write_text("iter_14.pth")
    return found


def spoil(run, *names):
    """Flips a bit in a tensor."""
    for name in names:
        path = run.checkpoints / f"{name}.pth"
        content = path.read_bytes()
        place = content.index(torch.arange(99.0).numpy().tobytes()) + 50
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [
        ((), "iter_14"),
        (("epoch_3",), "iter_14"),
        (("iter_14",), "epoch_3"),
        (("iter_14", "epoch_3"), "epoch_2"),
    ],
)
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole(run, caplog, damaged, expected):
    spoil(run, *damaged)
    with caplog.at_level("INFO", logger="rgacli"):
        assert checkpoint_to_resume(run).stem == expected
    told = [record.getMessage() for record in caplog.records]
    last, found = (run.checkpoints / f"{name}.pth" for name in ("iter_14", expected))
    expected_lines = [f"checkpoint {last} is damaged: going on from the newest that is whole, {found}"]
    assert told == expected_lines * (last != found)
    assert last.is_file()


def test_a_checkpoint_that_was_cut_is_none_either(run):
    path = run.checkpoints / "iter_14.pth"
    path.write_bytes(path.read_bytes()[:500])
    assert checkpoint_to_resume(run).stem == "epoch_3"


def test_where_none_is_whole_it_says_so_and_what_there_is_to_train_from(run):
    spoil(run, "iter_14", "epoch_1", "epoch_2", "epoch_3")
    with pytest.raises(UsageError, match=r"iter_14\.pth is damaged: data/0 .* has no whole one .*: train again\.$"):
        checkpoint_to_resume(run)
    run.best.touch()
    with pytest.raises(UsageError, match=r"train again, from its best by weights=.*best\.pth\.$"):
        checkpoint_to_resume(run)
