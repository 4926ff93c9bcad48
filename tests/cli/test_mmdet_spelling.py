import pytest
import typer

from rgacli.cli.mmdet_spelling import in_our_spelling


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("c.py --cfg-options a.b=1 c=2 --amp", "c.py --set a.b=1 --set c=2 --amp"),
        ("--cfg-options a=1 c.py", "--set a=1 c.py"),
        ("--cfg-options a=1 --cfg-options b=x=y", "--set a=1 --set b=x=y"),
        ("--cfg-options=a=1 b=2", "--set a=1 --set b=2"),
        ("--cfg-options=", "--set "),
        ("--set a=1 b=2", "--set a=1 b=2"),
        ("c.py --auto-scale-lr --work-dir d", "c.py --scale-lr --work-dir d"),
        ("c.py best.pth", "c.py best.pth"),
        ("", ""),
    ],
)
def test_training_as_mmdets_tools_train_is_called(given, expected):
    words = given.split()
    assert in_our_spelling(words, {"config", "settings"}) == (expected.split(" ") if expected else [])
    assert words == given.split()


@pytest.mark.parametrize(
    "given", ["--cfg-options", "c.py --cfg-options --amp", "--cfg-options a", "--cfg-options -a=1"]
)
def test_an_option_without_its_values_is_refused(given):
    with pytest.raises(typer.BadParameter, match="--cfg-options takes KEY=VALUE"):
        in_our_spelling(given.split(), {"settings"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("c.py work/best.pth --head all", "--config c.py --checkpoint work/best.pth --head all"),
        ("mine --head all", "mine --head all"),
        ("mine", "mine"),
        ("--checkpoint best.pth", "--checkpoint best.pth"),
        ("c.py --checkpoint best.pth", "c.py --checkpoint best.pth"),
        ("c.py best.pth --cfg-options a=1", "--config c.py --checkpoint best.pth --cfg-options a=1"),
    ],
)
def test_testing_as_mmdets_tools_test_is_called(given, expected):
    assert in_our_spelling(given.split(), {"run", "config", "checkpoint"}) == expected.split()
