import pytest

from rgacli.errors import UsageError
from rgacli.reproduction.sweep import Claim, Figure, Quantity, Row, Sweep, Table

ARMS = {"plain": {}, "rga": {"lambda0": 7}}


def table(name="main", text="rga/AP - plain/AP"):
    return Table(name, "what", (Row("difference", {"AP": Quantity.parse(text)}),))


def sweep(**own):
    return Sweep(**{"name": "mine", "title": "a sweep", "arms": ARMS, "tables": (table(),), **own})


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("plain/AP", ((1, "plain", "AP"),)),
        ("rga/AP - plain/AP", ((1, "rga", "AP"), (-1, "plain", "AP"))),
        ("a/1:9/AP@8+ + b/x - c/y", ((1, "a", "1:9/AP@8+"), (1, "b", "x"), (-1, "c", "y"))),
        ("  a/x   -  a/y ", ((1, "a", "x"), (-1, "a", "y"))),
    ],
)
def test_a_quantity_is_a_sum_of_parts(text, terms):
    assert Quantity.parse(text).terms == terms


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "quantity '' is not whole: it is a sum such as rga/AP - plain/AP."),
        ("a/x -", "quantity 'a/x -' is not whole: it is a sum such as rga/AP - plain/AP."),
        ("a/x b/x", "quantity 'a/x b/x': + or - is expected in place of 'b/x'."),
        ("a/x * b/x", "quantity 'a/x * b/x': + or - is expected in place of '*'."),
        ("AP", "quantity 'AP': 'AP' is not of the form ARM/WHAT, such as plain/AP."),
        ("a/", "quantity 'a/': 'a/' is not of the form ARM/WHAT, such as plain/AP."),
        ("/AP", "quantity '/AP': '/AP' is not of the form ARM/WHAT, such as plain/AP."),
        ("- a/x", "quantity '- a/x': '-' is not of the form ARM/WHAT, such as plain/AP."),
    ],
)
def test_what_is_no_quantity_is_refused(text, told):
    with pytest.raises(UsageError) as refused:
        Quantity.parse(text)
    assert refused.value.message == told


def test_a_quantity_is_of_each_of_its_arms_once():
    assert Quantity.parse("b/x - a/x - b/y + a/y").arms == ("b", "a")


def test_a_table_needs_the_arms_of_its_rows_claims_and_figure():
    of = Quantity.parse
    found = Table(
        "main",
        "what",
        (Row("one", {"AP": of("a/AP"), "AP50": of("a/AP50")}, {"AP75": 40.0}), Row("two", {"AP": of("b/AP")})),
        claims=(Claim("better", of("c/AP - a/AP")),),
        figure=Figure("positives", ("d", "b")),
    )
    assert found.arms == ("a", "b", "c", "d")
    assert found.columns == ("AP", "AP50", "AP75")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"arms": {"a b": {}}}, "mine: 'a b' is no name for an arm: use letters, digits and '-', '_', '.'."),
        (
            {"arms": {**ARMS, "../up": {}}},
            "mine: '../up' is no name for an arm: use letters, digits and '-', '_', '.'.",
        ),
        ({"combined": {"x/y": ("plain", "rga")}}, "mine: 'x/y' is no name for an arm: use letters, digits and "),
        ({"tables": (table("a/b"),)}, "mine: 'a/b' is no name for a table: use letters, digits and '-', '_', '.'."),
        ({"combined": {"rga": ("plain", "rga")}}, "mine: 'rga' is an arm and a combination of arms."),
        (
            {"tables": (Table("rga", "what", (), figure=Figure("gt_bins", ("plain", "rga"))),)},
            "mine: 'rga' is an arm and a table with a figure: rename the table.",
        ),
        ({"combined": {"two": ("plain",)}}, "mine: combined 'two' needs two arms or more."),
        ({"combined": {"two": ("plain", "no")}}, "mine: combined 'two' needs 'no', which is none of plain, rga."),
        ({"trained_from": {"rga": "no"}}, "mine: weights of 'rga' needs 'no', which is none of plain, rga."),
        ({"trained_from": {"no": "rga"}}, "mine: weights of 'no' needs 'no', which is none of plain, rga."),
        (
            {"trained_from": {"rga": "plain", "plain": "rga"}},
            "mine: 'rga' starts from 'plain', which starts from another arm itself.",
        ),
        (
            {"combined": {"two": ("plain", "rga")}, "tables": (table(text="no/AP"),)},
            "mine: table 'main' needs 'no', which is none of plain, rga, two.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(own, told):
    with pytest.raises(UsageError) as refused:
        sweep(**own)
    assert refused.value.message.startswith(told)


def test_a_table_may_be_of_a_combination_but_a_combination_not_of_another():
    combined = {"two": ("plain", "rga")}
    sweep(combined=combined, tables=(table(text="two/AP"),))
    with pytest.raises(UsageError, match="combined 'three' needs 'two'"):
        sweep(combined={**combined, "three": ("two", "plain")})


def test_a_table_is_found_by_its_name():
    found = sweep(tables=(table("one"), table("two")))
    assert found.table("two") is found.tables[1]
    with pytest.raises(UsageError) as refused:
        found.table("three")
    assert refused.value.message == "mine: there is no table 'three', but one, two."
