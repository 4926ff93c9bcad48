import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.config.literals import method_of, parse_literals, read_literals

NAMES = st.from_regex(r"[a-z]{2,6}", fullmatch=True).map(lambda name: f"k{name}")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def as_calls(value):
    """A value as mmengine writes configs: dict(a=1)."""
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}={as_calls(item)}' for key, item in value.items())})"
    if isinstance(value, list):
        return f"[{', '.join(map(as_calls, value))}]"
    return repr(value)


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.sampled_from([as_calls, repr]))
def test_what_is_written_literally_is_read_as_it_is(config, written):
    text = "\n".join(f"{name} = {written(value)}" for name, value in config.items())
    assert parse_literals(text) == config


def test_what_takes_running_is_not_run(tmp_path):
    found = parse_literals(f"import os\na = open({str(tmp_path / 'made')!r}, 'w')\nb = dict(c=os.getcwd(), d=1)")
    assert found == {"a": None, "b": {"c": None, "d": 1}}
    assert not list(tmp_path.iterdir())


def test_a_file_inherits_as_in_mmengine(tmp_path):
    (tmp_path / "base.py").write_text("model = dict(roi_head=dict(ratios=['1:1'], sampling='hard'))\nx = 1")
    (tmp_path / "own.py").write_text("_base_ = ['base.py', 'mmdet::x.py']\nmodel = dict(roi_head=dict(ratios=['1:9']))")
    found = read_literals(tmp_path / "own.py")
    assert found["x"] == 1
    assert (method_of(found).ratios, method_of(found).sampling, method_of(found).lambda0) == (("1:9",), "hard", None)


def test_what_is_no_python_is_an_error():
    with pytest.raises(SyntaxError):
        parse_literals("a = (")


def test_a_file_that_inherits_itself_is_an_error(tmp_path):
    (tmp_path / "a.py").write_text("_base_ = ['b.py', 3]")
    (tmp_path / "b.py").write_text("_base_ = 'a.py'")
    with pytest.raises(ValueError, match=r"a\.py inherits itself"):
        read_literals(tmp_path / "a.py")
