import pytest
import yaml

from rgacli.errors import UsageError
from rgacli.reproduction.reading import read_sweep, read_yaml, sweep_of, table_of

ARMS = "arms: {plain: {lambda0: 1}, rga: {lambda0: 7}}\n"


@pytest.fixture
def read(tmp_path):
    """Reads a sweep that is written so."""

    def of(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return read_sweep(path)

    return of


def test_a_file_says_all_of_a_sweep(read):
    sweep, common = read(
        """
title: RGA or not
seeds: [3, 1, 3]
train: {config: quickstart, epochs: 2}
arms:
  plain: {lambda0: 1}
  rga: {weights_of: plain, lambda0: 7}
combined: {two: [plain, rga]}
tables:
  main:
    title: beside the paper
    measures: [gt_bins, positives]
    columns: [AP]
    rows:
      - {row: RGA, arm: rga, cells: {early: "rga/positives/1:3/early"}, paper: {AP: 37.3, AP75: 40}}
      - {arm: two}
    claims:
      - {claim: RGA is better, quantity: rga/AP - plain/AP, paper: 1.2}
      - {claim: they are alike, quantity: rga/AP - two/AP, expected: zero, margin: 0.5}
    figure: {function: positives, arms: [rga]}
"""
    )
    assert common == {"config": "quickstart", "epochs": 2}
    assert (sweep.name, sweep.title, sweep.seeds) == ("mine", "RGA or not", (3, 1))
    assert sweep.arms == {"plain": {"lambda0": 1}, "rga": {"lambda0": 7}}
    assert (sweep.trained_from, sweep.combined) == ({"rga": "plain"}, {"two": ("plain", "rga")})
    (table,) = sweep.tables
    assert (table.name, table.title, table.measures) == ("main", "beside the paper", ("gt_bins", "positives"))
    first, second = table.rows
    assert {column: one.text for column, one in first.cells.items()} == {
        "AP": "rga/AP",
        "early": "rga/positives/1:3/early",
    }
    assert (first.label, first.paper, second.label) == ("RGA", {"AP": 37.3, "AP75": 40.0}, "two")
    better, alike = table.claims
    assert (better.text, better.quantity.text, better.expected) == ("RGA is better", "rga/AP - plain/AP", "positive")
    assert (better.margin, better.paper) == (0, 1.2)
    assert (alike.expected, alike.margin, alike.paper) == ("zero", 0.5, None)
    assert (table.figure.function, table.figure.arms) == ("positives", ("rga",))


def test_what_is_not_said_is_as_usual(read):
    sweep, common = read(ARMS + "combined: {two: [plain, rga]}\n")
    assert (common, sweep.title, sweep.seeds) == ({}, "mine", (0, 1, 2, 3, 4))
    (table,) = sweep.tables
    assert (table.name, table.measures, table.claims, table.figure) == ("all", ("evaluate",), (), None)
    assert [row.label for row in table.rows] == ["plain", "rga", "two"]
    assert table.columns == ("AP", "AP50", "AP75")
    assert table.rows[2].cells["AP75"].text == "two/AP75"


def test_an_arm_that_says_nothing_is_trained_by_what_all_are(read):
    assert read("arms: {plain: }")[0].arms == {"plain": {}}


@pytest.mark.parametrize(("text", "bins"), [("", None), ("bins: ", None), ("bins: 1-3,8+", "1-3,8+")])
def test_bins_are_the_datasets_own_unless_they_are_said(read, text, bins):
    assert read(ARMS + text)[0].bins == bins


def test_a_number_of_seeds_counts_them_from_0(read):
    assert read(ARMS + "seeds: 2")[0].seeds == (0, 1)


def test_a_grid_is_an_arm_for_each_of_its_points(read):
    sweep, _ = read('arms: {plain: }\ngrid: {lambda0: [3, 7.5], ratios: ["1:3", "1:1,1:9"]}')
    assert sweep.arms == {
        "plain": {},
        "lambda0=3,ratios=1to3": {"lambda0": 3, "ratios": "1:3"},
        "lambda0=3,ratios=1to1+1to9": {"lambda0": 3, "ratios": "1:1,1:9"},
        "lambda0=7.5,ratios=1to3": {"lambda0": 7.5, "ratios": "1:3"},
        "lambda0=7.5,ratios=1to1+1to9": {"lambda0": 7.5, "ratios": "1:1,1:9"},
    }


def test_a_points_name_is_one_that_a_folder_can_have(read):
    sweep, _ = read("grid: {config: [a/b.py, 'mmdet::c d'], lr: [1e-3]}")
    assert list(sweep.arms) == ["config=a-b.py,lr=0.001", "config=mmdettotoc-d,lr=0.001"]


def test_the_arms_of_a_grid_may_start_from_another(read):
    sweep, _ = read("arms: {plain: }\ngrid: {weights_of: [plain], lambda0: [1, 7]}")
    names = ["weights_of=plain,lambda0=1", "weights_of=plain,lambda0=7"]
    assert sweep.trained_from == dict.fromkeys(names, "plain")
    assert [sweep.arms[name] for name in names] == [{"lambda0": 1}, {"lambda0": 7}]


def test_numbers_are_read_as_those_who_write_them_mean_them(read):
    text = "{ratios: 1:9, lr: 1e-3, lambda0: 7, epochs: -2, clip: 0.5, accumulate: +1, data: .5, best: 1.}"
    assert read(f"arms: {{plain: {text}}}")[0].arms["plain"] == {
        "ratios": "1:9",
        "lr": 0.001,
        "lambda0": 7,
        "epochs": -2,
        "clip": 0.5,
        "accumulate": 1,
        "data": 0.5,
        "best": 1.0,
    }
    assert yaml.safe_load("1:9") == 69  # by YAML 1.1, which others go on reading


def test_names_may_be_numbers_to_yaml(read):
    sweep, _ = read("arms: {1: {}, 2: {}}\ncombined: {3: [1, 2]}\ntables: {4: {rows: [{arm: 3}]}}")
    assert (list(sweep.arms), sweep.combined, sweep.table("4").arms) == (["1", "2"], {"3": ("1", "2")}, ("3",))


TABLE = ARMS + "tables: {main: {%s}}"
ROW = ARMS + "tables: {main: {rows: [%s]}}"
CLAIM = ARMS + "tables: {main: {claims: [{claim: c, %s}]}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a list", " holds the list ['a list'], not keys with values."),
        ("", " holds nothing, not keys with values."),
        ("seeds: 2", ": there is nothing to train: give arms, or a grid of parameters."),
        ("arms: [plain]", ": arms holds the list ['plain'], not keys with values."),
        ("arms: {plain: 7}", ": arm 'plain' holds the int 7, not keys with values."),
        (ARMS + "epochs: 3", ": 'epochs' is not known here; the sweep has title, seeds, bins, train, arms, grid, "),
        (ARMS + "train: quickstart", ": train holds the str 'quickstart', not keys with values."),
        (ARMS + "seeds: 0", ": seeds: 0 is neither a number of them, 1 or more, nor a list of seeds."),
        (ARMS + "seeds: true", ": seeds: True is neither a number of them, 1 or more, nor a list of seeds."),
        (ARMS + "seeds: []", ": seeds: [] is neither a number of them, 1 or more, nor a list of seeds."),
        (ARMS + "seeds: [1, -1]", ": seeds: [1, -1] is neither a number of them, 1 or more, nor a list of seeds."),
        (ARMS + "seeds: [a]", ": seeds: ['a'] is neither a number of them, 1 or more, nor a list of seeds."),
        ("grid: [1]", ": grid holds the list [1], not keys with values."),
        ("grid: {lambda0: 7}", ": grid: lambda0 is the int 7, not a list."),
        ("grid: {lambda0: []}", ": grid: lambda0 has no values."),
        ("grid: {a: [x y, x-y]}", ": grid: there are two arms of the name 'a=x-y': list one of them by a name of its "),
        ("arms: {a=1: }\ngrid: {a: [1]}", ": grid: there are two arms of the name 'a=1': list one of them by a name "),
        (ARMS + "combined: {two: plain}", ": combined 'two' is the str 'plain', not a list."),
        (ARMS + "combined: {two: [rga]}", ": combined 'two' needs two arms or more."),
        ("arms: {a: {weights_of: b}}", ": weights of 'a' needs 'b', which is none of a."),
        (
            "arms: {a: {}, b: {weights_of: a, weights: x.pth}}",
            ": arm 'b' has weights_of and weights: it can start from one of them.",
        ),
        (ARMS + "tables: [main]", ": tables holds the list ['main'], not keys with values."),
        (ARMS + "tables: {main: }", ": table 'main' holds nothing, not keys with values."),
        (TABLE % "row: []", ": table 'main': 'row' is not known here; table has title, measures, columns, rows, "),
        (TABLE % "paper: 1", ": table 'main': 'paper' is not known here; table has title, measures, columns, rows, "),
        (TABLE % "measures: AP", ": table 'main': measures is the str 'AP', not a list."),
        (TABLE % "measures: [AP]", ": table 'main': measure 'AP' is none of evaluate, gt_bins, positives, "),
        (TABLE % "columns: AP", ": table 'main': columns is the str 'AP', not a list."),
        (TABLE % "rows: {arm: rga}", ": table 'main': rows is the dict {'arm': 'rga'}, not a list."),
        (TABLE % "claims: rga", ": table 'main': claims is the str 'rga', not a list."),
        (TABLE % "rows: [{arm: x}]", ": table 'main' needs 'x', which is none of plain, rga."),
        (ROW % "rga", ": table 'main': row holds the str 'rga', not keys with values."),
        (ROW % "{arms: rga}", ": table 'main': 'arms' is not known here; row has row, arm, cells, paper."),
        (ROW % "{row: x}", ": table 'main': row 'x' has neither an arm nor cells."),
        (ROW % "{row: x, cells: [1]}", ": table 'main': row 'x': cells holds the list [1], not keys with values."),
        (
            ROW % "{row: x, cells: {y: AP}}",
            ": table 'main': row 'x': quantity 'AP': 'AP' is not of the form ARM/WHAT, ",
        ),
        (ROW % "{arm: a b}", ": table 'main': row 'a b': quantity 'a b/AP': 'a' is not of the form ARM/WHAT, such as "),
        (ROW % "{arm: rga, paper: 37}", ": table 'main': row 'rga': paper holds the int 37, not keys with values."),
        (ROW % "{arm: rga, paper: {AP: x}}", ": table 'main': row 'rga': paper: AP is the str 'x', not a number."),
        (ROW % "{arm: rga, paper: {AP: }}", ": table 'main': row 'rga': paper: AP is nothing, not a number."),
        (ROW % "{arm: rga, paper: {AP: .nan}}", ": table 'main': row 'rga': paper: AP is nan, not a finite number."),
        (TABLE % "claims: [c]", ": table 'main': claim holds the str 'c', not keys with values."),
        (TABLE % "claims: [{claim: c}]", ": table 'main': a claim has no quantity."),
        (TABLE % "claims: [{quantity: rga/AP}]", ": table 'main': a claim has no claim."),
        (CLAIM % "quantities: rga/AP", ": table 'main': 'quantities' is not known here; claim has claim, quantity, "),
        (CLAIM % "quantity: rga", ": table 'main': claim 'c': quantity 'rga': 'rga' is not of the form ARM/WHAT, "),
        (
            CLAIM % "quantity: rga/AP, expected: up",
            ": table 'main': claim 'c': expected is 'up', but it can be positive, negative, zero.",
        ),
        (CLAIM % "quantity: rga/AP, margin: x", ": table 'main': claim 'c': margin is the str 'x', not a number."),
        (CLAIM % "quantity: rga/AP, margin: yes", ": table 'main': claim 'c': margin is the bool True, not a number."),
        (CLAIM % "quantity: rga/AP, paper: x", ": table 'main': claim 'c': paper is the str 'x', not a number."),
        *(
            (
                CLAIM % f"quantity: rga/AP, {own}",
                ": table 'main': claim 'c': a margin above 0 goes with expected: zero, and the other way round.",
            )
            for own in ("margin: 1", "margin: -1", "expected: zero", "expected: zero, margin: -1")
        ),
        (TABLE % "figure: positives", ": table 'main': figure holds the str 'positives', not keys with values."),
        (TABLE % "figure: {of: x}", ": table 'main': 'of' is not known here; figure has function, arms."),
        (
            TABLE % "figure: {function: evaluate, arms: [rga]}",
            ": table 'main': figure: function 'evaluate' draws none; gt_bins, positives, proposals, accuracy, "
            "gradients, scores do.",
        ),
        (TABLE % "figure: {arms: [rga]}", ": table 'main': figure: function None draws none; gt_bins, positives, "),
        (TABLE % "figure: {function: scores, arms: rga}", ": table 'main': figure: arms is the str 'rga', not a list."),
        (TABLE % "figure: {function: scores}", ": table 'main': figure: it names no arms."),
    ],
)
def test_what_is_not_as_it_should_be_is_told_in_a_line_that_says_where(read, tmp_path, text, told):
    with pytest.raises(UsageError) as refused:
        read(text)
    message = refused.value.message
    assert message.startswith(f"{tmp_path / 'mine.yaml'}{told}")
    assert "\n" not in message
    assert message.endswith(".")


def test_a_file_that_is_not_there_or_no_yaml_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(UsageError) as refused:
        read_yaml(path)
    assert refused.value.message == f"there is no sweep {path}."
    path.write_text("arms: {a\n: [")
    with pytest.raises(UsageError) as refused:
        read_yaml(path)
    assert refused.value.message.startswith(f"{path} is no YAML: while parsing")
    assert "\n" not in refused.value.message
    path.write_bytes(b"title: \xff")
    with pytest.raises(UsageError, match="is no YAML"):
        read_yaml(path)
    with pytest.raises(UsageError) as refused:
        read_yaml(tmp_path)
    assert refused.value.message == f"{tmp_path} cannot be read: Is a directory."


def test_what_is_written_twice_is_refused_and_what_is_merged_is_not(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("arms:\n  a: &a {lr: 1, ratios: 1:1}\n  b: &b {<<: *a, lr: 2}\n  c: {<<: *b, lr: 3}\n")
    assert [own["lr"] for own in read_yaml(path)["arms"].values()] == [1, 2, 3]
    path.write_text("arms:\n  a: {lr: 1}\n  b: {lr: 2}\n  a: {lr: 3}\n")
    with pytest.raises(UsageError, match=r"is no YAML: 'a' comes twice in .*, line 4, column 3[.]$"):
        read_yaml(path)


def test_a_file_cannot_have_python_do_anything(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: !!python/object/apply:os.getcwd []")
    with pytest.raises(UsageError, match="is no YAML: could not determine a constructor"):
        read_yaml(path)


def test_what_a_file_holds_stays_as_it_is():
    content = {"arms": {"a": {"weights_of": "b"}, "b": {}}}
    first, second = (sweep_of(content, "mine")[0] for _ in range(2))
    assert first == second


def test_rows_from_elsewhere_stand_before_a_tables_own():
    first = table_of("one", {"rows": [{"arm": "a"}]}).rows
    assert [row.label for row in table_of("two", {"rows": [{"arm": "b"}]}, first).rows] == ["a", "b"]
