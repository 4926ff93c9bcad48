import contextlib
import io
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging.history_buffer import HistoryBuffer
from torch import nn

from rgacli.errors import UsageError
from rgacli.modeling.checkpoints import load_weights, read_checkpoint
from tests.support import tiny


def refusal(function, *arguments):
    """The UsageError's one line."""
    with pytest.raises(UsageError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def saved(path, content):
    torch.save(content, path)
    return path


def layer():
    return nn.Linear(3, 2)


# --- mmengine's own


def test_a_training_checkpoint_with_its_history_is_read(finished_run):
    content = read_checkpoint(finished_run / "checkpoints/epoch_3.pth")
    history = content["message_hub"]["log_scalars"]["train/lambda"]
    assert isinstance(history, HistoryBuffer)
    assert history.current() == pytest.approx(1.5)
    assert history.mean() == pytest.approx(sum(7 - t / 2 for t in range(8, 12)) / 4)  # of an epoch, and no more
    assert content["meta"]["iter"] == 12


def test_a_training_checkpoints_weights_are_loaded_every_one(finished_run, tiny_dataset, tmp_path):
    path = finished_run / "checkpoints/epoch_3.pth"
    model = tiny.build(tiny.training_config(tiny_dataset, tmp_path).model, seed=7)
    load_weights(model, path)
    expected = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_a_bare_state_dict_is_loaded(tmp_path):
    source, model = layer(), layer()
    load_weights(model, saved(tmp_path / "a.pth", source.state_dict()))
    assert torch.equal(model.weight, source.weight)


# --- what would run code


class RunsCode:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


class TakesAnAttribute:
    """Unpickled, it is an attribute of one of the allowed types: the way to everything else."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


def plain_pickle(content, path):
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [torch.save, plain_pickle])
@pytest.mark.parametrize("where", ["beside the weights", "among the weights"])
def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(tmp_path, write, where):
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    bad = RunsCode(trace)
    content = {"state_dict": {}, "meta": bad} if where == "beside the weights" else {"state_dict": {"weight": bad}}
    write(content, path)
    refused = refusal(read_checkpoint, path)
    assert str(path) in refused
    assert not trace.exists()
    assert write is plain_pickle or "would run code" in refused
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert trace.exists()  # it was a working one


@pytest.mark.parametrize("name", ["__init__", "__class__", "from_dict", "_set_default_statistics"])
def test_of_the_history_nothing_but_its_statistics_can_be_taken(tmp_path, name):
    path = saved(tmp_path / "a.pth", {"state_dict": {}, "x": TakesAnAttribute(HistoryBuffer, name)})
    assert "would run code" in refusal(read_checkpoint, path)


def test_attributes_of_other_types_cannot_be_taken(tmp_path):
    path = saved(tmp_path / "a.pth", {"state_dict": {}, "x": TakesAnAttribute(torch.Tensor, "min")})
    assert "would run code" in refusal(read_checkpoint, path)


# --- what is no checkpoint


def test_a_missing_file_or_a_folder_does_not_exist_as_a_checkpoint(tmp_path):
    for path in (tmp_path / "nowhere.pth", tmp_path):
        assert refusal(read_checkpoint, path) == f"checkpoint {path} does not exist."


OTHER_KINDS = [b"", b"no checkpoint", "λ".encode() * 100, b"PK\x03\x04", b"\x80\x02.", bytes(999)]


@pytest.mark.parametrize("content", OTHER_KINDS)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert refusal(read_checkpoint, path) == f"checkpoint {path} is damaged or is no torch checkpoint."


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), 5])
def test_what_holds_no_dict_is_refused(tmp_path, content):
    message = refusal(read_checkpoint, saved(tmp_path / "a.pth", content))
    assert f"holds a {type(content).__name__}, not a state dict" in message


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (None, "its state_dict is a NoneType"),
        ([1], "its state_dict is a list"),
        ({1: torch.zeros(1)}, "a weight is named 1"),
        ({"a.weight": torch.zeros(2, device="meta")}, "a.weight does not hold its numbers"),
        ({"a.weight": torch.eye(2).to_sparse()}, "a.weight does not hold its numbers"),
        ({"a.weight": torch.zeros(2, dtype=torch.complex64)}, "a.weight does not hold its numbers"),
        ({"a.bias": torch.zeros(1), "a.weight": torch.tensor([1.0, float("nan")])}, "a.weight holds what is no number"),
    ],
)
def test_weights_that_cannot_detect_anything_are_refused(tmp_path, weights, complaint):
    message = refusal(read_checkpoint, saved(tmp_path / "a.pth", {"state_dict": weights}))
    assert f"{tmp_path / 'a.pth'} cannot be used: {complaint}" in message


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "a.pth"


def intact():
    buffer = io.BytesIO()
    torch.save({"state_dict": layer().state_dict(), "meta": {"epoch": 1}}, buffer)
    return buffer.getvalue()


INTACT = intact()


def assert_intact(content):
    """A checkpoint's content is that of INTACT."""
    expected = torch.load(io.BytesIO(INTACT), weights_only=True)
    assert content["meta"] == expected["meta"]
    assert content["state_dict"].keys() == expected["state_dict"].keys()
    assert all(torch.equal(value, expected["state_dict"][name]) for name, value in content["state_dict"].items())


@given(length=st.integers(0, len(INTACT) - 1))
def test_a_truncated_checkpoint_is_refused(scratch, length):
    scratch.write_bytes(INTACT[:length])
    assert "damaged" in refusal(read_checkpoint, scratch)


@given(flips=st.lists(st.integers(0, len(INTACT) * 8 - 1), min_size=1, max_size=8, unique=True))
def test_flipped_bits_are_told_or_change_nothing(scratch, flips):
    content = bytearray(INTACT)
    for bit in flips:
        content[bit // 8] ^= 1 << bit % 8
    scratch.write_bytes(content)
    with contextlib.suppress(UsageError):  # of padding nothing depends on what it is
        assert_intact(read_checkpoint(scratch))


@given(position=st.integers(0, len(INTACT) - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_is_told_or_changes_nothing(scratch, position, byte):
    scratch.write_bytes(INTACT[:position] + bytes([byte]) + INTACT[position + 1 :])
    with contextlib.suppress(UsageError):
        assert_intact(read_checkpoint(scratch))


def test_a_flipped_bit_of_a_weight_which_torch_loads_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(INTACT)
    weight = read_checkpoint(path)["state_dict"]["weight"]
    place = INTACT.index(weight.numpy().tobytes()) + 3
    path.write_bytes(INTACT[:place] + bytes([INTACT[place] ^ 1]) + INTACT[place + 1 :])
    assert not torch.equal(torch.load(path, weights_only=True)["state_dict"]["weight"], weight)
    message = refusal(read_checkpoint, path)
    assert message.startswith(f"checkpoint {path} is damaged: data/0 in it is not what was written, by its checksum.")
    assert "Take an earlier checkpoint" in message


@pytest.mark.parametrize("how", [dict(_use_new_zipfile_serialization=False), {}])
def test_what_has_no_checksums_is_read_all_the_same(tmp_path, monkeypatch, how):
    """torch's format before 1.6, and its present one with the checksums left out."""
    if not how and not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this torch always writes them")
    before = torch.serialization.get_crc32_options() if not how else True
    if not how:
        torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "a.pth", **how)
    finally:
        if not how:
            torch.serialization.set_crc32_options(before)
    assert torch.equal(read_checkpoint(tmp_path / "a.pth")["a"], torch.ones(3))


@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(scratch, content):
    scratch.write_bytes(content)
    refusal(read_checkpoint, scratch)


# --- another model's


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda weights: weights.pop("weight"), "it lacks weight."),
        (lambda weights: weights.update(a=weights["bias"]), "it has in excess a."),
        (lambda weights: weights.update(weight=torch.zeros(4, 3)), "it has in other shapes weight (4, 3) for (2, 3)."),
        (lambda weights: weights.update(weight=1.0), "weight"),
        (lambda weights: weights.update(dict.fromkeys("abcd", torch.zeros(1))), "it has in excess a, b and 2 more."),
    ],
)
def test_weights_of_another_model_are_refused_by_name_and_leave_the_model_alone(tmp_path, change, complaint):
    weights, model = layer().state_dict(), layer()
    before = tiny.state(model)
    change(weights)
    path = saved(tmp_path / "a.pth", dict(state_dict=weights))
    message = refusal(load_weights, model, path)
    assert str(path) in message
    assert complaint in message
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    assert "lacks weight, bias" in refusal(load_weights, layer(), saved(tmp_path / "a.pth", {"meta": 1}))
