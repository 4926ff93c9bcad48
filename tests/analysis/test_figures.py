import csv
import math

import pytest
from matplotlib.legend import Legend
from PIL import Image

from rgacli.analysis import figures, style


def test_png_and_csv_stand_side_by_side(tmp_path):
    figure, axes = figures.canvas(2, 3, panel=(1.5, 1.0), sharex=True)
    assert axes.shape == (2, 3)
    rows = [{"name": 'a "quoted", name', "AP": 0.1 + 0.2}, {"name": "ü", "AP": math.nan}]
    figures.save(figure, tmp_path / "new" / "figure.png", rows)

    with Image.open(tmp_path / "new" / "figure.png") as image:
        image.load()
        assert image.size == (900, 400)
    with (tmp_path / "new" / "figure.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read[0] == {"name": 'a "quoted", name', "AP": repr(0.1 + 0.2)}
    assert math.isnan(float(read[1]["AP"]))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.csv", "figure.png", "figure.svg"]


def test_a_place_is_required_and_nothing_made(tmp_path):
    figures.require_place(tmp_path / "new" / "folder" / "figure.png")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"no folder.*/file'"):
        figures.require_place(tmp_path / "file" / "new" / "figure.png")
    with pytest.raises(FileExistsError, match="a folder"):
        figures.require_place(tmp_path)


def test_a_legend_has_no_frame_whoever_draws_it():
    for owner in ("axis", "figure"):
        figure, [[axis]] = figures.canvas(1, 1, panel=(2, 1))
        axis.plot([1, 2], label="costs $5")
        drawn = {"axis": axis, "figure": figure}[owner]
        figures.plain_legend(drawn)
        [legend] = [child for child in drawn.get_children() if isinstance(child, Legend)]
        assert not legend.get_frame_on()
        assert legend.get_texts()[0].get_fontsize() < 10


def test_long_names_are_abbreviated_to_both_ends():
    assert figures.abbreviated("x" * 30) == "x" * 30
    assert figures.abbreviated("runs/" + "x" * 99 + "/base") == "runs/xxxxxxxxx…xxxxxxxxxx/base"


def test_a_figure_that_fails_to_draw_leaves_the_old_one(tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure, axes = figures.canvas(1, 1, panel=(2, 2))
    axes[0, 0].set_title("$\\unknown$")
    with pytest.raises(ValueError, match="unknown"):
        figures.save(figure, path, [{"x": 1}])
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]


def test_bins_are_named_with_their_images_and_say_where_these_are_too_few():
    _, [[axis]] = figures.canvas(1, 1, panel=(2, 2))
    figures.bin_ticks(axis, {"1-3": 9, "8+": 10})
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1-3\n(9)\nfew", "8+\n(10)"]
    assert "too few" in axis.get_xlabel()
    figures.bin_ticks(axis, {"8+": 10})
    assert "too few" not in axis.get_xlabel()


@pytest.mark.parametrize(("length", "columns"), [(5, 6), (30, 3)])
def test_a_legend_above_has_as_many_columns_as_there_is_room_for(length, columns):
    figure, _ = figures.canvas(1, 3, panel=(3.5, 2))
    names = [f"${index}".ljust(length, "x") for index in range(6)]
    figures.legend_above(figure, [(name, style.Look("red", "-", "o")) for name in names])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert legend._ncols == columns
    figure.draw_without_rendering()  # a "$" starts no formula


def test_things_side_by_side_are_centred_on_their_tick():
    assert [figures.shift(index, 3, 0.2) for index in range(3)] == pytest.approx([-0.2, 0, 0.2])
    assert figures.shift(0, 1, 0.2) == 0
