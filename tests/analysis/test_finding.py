import csv
from dataclasses import dataclass
from typing import ClassVar

import pytest

from rgacli.analysis import figures
from rgacli.analysis.finding import Finding, Table, place, publish
from rgacli.errors import UsageError


@dataclass(frozen=True)
class Row:
    head: str
    value: float


@dataclass(frozen=True)
class Heights(Finding):
    name: ClassVar[str] = "heights"
    title: ClassVar[str] = "heights"
    about: ClassVar[dict] = {}
    rows: tuple

    def conclusion(self):
        return f"{len(self.rows)} heads"

    def tables(self):
        return [Table(self.title, {"head": "head"}, list(map(vars, self.rows)))]

    def points(self):
        if not self.rows:
            raise UsageError("nothing to draw")
        return list(map(vars, self.rows))

    def draw(self):
        figure, [[axis]] = figures.canvas(1, 1, panel=(4, 3))
        axis.bar([row.head for row in self.rows], [row.value for row in self.rows])
        return figure


def test_a_finding_is_saved_as_picture_drawing_and_numbers(tmp_path):
    found = publish(Heights((Row("1:1", 0.5),)), place(Heights, tmp_path / "new"))
    assert [path.name for path in (found.figure, found.vector, found.data)] == [
        f"heights.{kind}" for kind in ("png", "svg", "csv")
    ]
    assert found.figure.read_bytes().startswith(b"\x89PNG")
    assert "1:1" in found.vector.read_text()  # as text, which can be searched
    assert list(csv.DictReader(found.data.open())) == [{"head": "1:1", "value": "0.5"}]
    assert (found.name, found.conclusion, found.paper) == ("heights", "1 heads", "")


def test_what_cannot_be_drawn_leaves_nothing(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        publish(Heights(()), place(Heights, tmp_path / "new"))
    with pytest.raises(UsageError, match="style=neon"):
        publish(Heights((Row("1:1", 0.5),)), place(Heights, tmp_path / "new"), "neon")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_what_is_in_the_way_of_a_file_is_told_before_the_work(tmp_path, kind):
    (tmp_path / f"heights.{kind}").mkdir()
    with pytest.raises(FileExistsError, match="it is a folder"):
        place(Heights, tmp_path)
