import itertools

import pytest
from matplotlib.colors import to_rgb

from rgacli.analysis import figures, style
from rgacli.errors import UsageError


def luminance(color):
    """Relative luminance, as WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", style.STYLES)
def test_text_is_legible_and_colours_stand_out_from_the_background(name):
    chosen = style.STYLES[name]
    assert contrast(chosen.ink, chosen.paper) > 7
    assert contrast(chosen.muted, chosen.paper) > 4.5
    assert all(contrast(color, chosen.paper) > 2 for color in chosen.palette)
    assert len(set(chosen.palette)) == len(chosen.palette) == 6


def test_an_unknown_style_is_named():
    with pytest.raises(UsageError, match="style=neon: it can be one of screen, paper, slide, dark"):
        style.require_style("neon")


def test_a_style_holds_as_long_as_it_is_used():
    with style.using("dark"):
        assert style.current().dark
        figure, _ = figures.canvas(1, 1, panel=(2, 1))
        assert figure.get_facecolor()[:3] == to_rgb(style.STYLES["dark"].paper)
    assert style.current().name == "screen"


@pytest.mark.parametrize(("name", "columns"), [("screen", 3), ("paper", 2), ("slide", 2)])
def test_panels_fit_the_width_of_what_the_figure_is_looked_at_on(name, columns):
    with style.using(name) as chosen:
        figure, axes = figures.panels(5, panel=(3.5, 2))
        assert figure.get_figwidth() <= chosen.width
        assert len(axes) == 5
        assert axes[0].get_gridspec().ncols == columns
        assert [axis.get_visible() for axis in figure.axes] == [True] * 5 + [False] * (-5 % columns)


def test_a_paper_gets_a_pdf(tmp_path):
    with style.using("paper"):
        figure, _ = figures.canvas(1, 1, panel=(2, 1))
        assert figures.save(figure, tmp_path / "a.png", [{"x": 1}]) == tmp_path / "a.pdf"
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_figure_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        figure, [[axis]] = figures.canvas(1, 1, panel=(2, 1))
        axis.plot([1, 2])
        figures.save(figure, tmp_path / f"{name}.png", [{"x": 1}])
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_heads_of_one_run_have_colours_and_the_ensemble_is_of_ink():
    looks = style.looks([("", "1:1"), ("", "1:9"), ("", "ensemble")])
    assert [look.color for look in looks.values()] == [*style.PALETTE[:2], style.current().ink]
    assert {look.dashes for look in looks.values()} == {"-"}


def test_everything_of_several_runs_is_told_apart():
    things = list(itertools.product(("a", "b", "c"), ("1:1", "1:3", "1:9", "ensemble")))
    looks = style.looks(things)
    assert len({(look.color, str(look.dashes), look.marker) for look in looks.values()}) == len(things)
    assert len({look.color for (run, _), look in looks.items() if run == "a"}) == 1
    assert all(look.marker == "D" for (_, head), look in looks.items() if head == "ensemble")
