from types import SimpleNamespace

import pytest

from rgacli.config.catalogue import LITE, QUICKSTART, TABLES, read_catalogue
from rgacli.method import head_names, parse_ratios
from rgacli.reproduction import paper
from rgacli.reproduction.quantities import numbers_of
from rgacli.reproduction.reading import read_yaml

ENTRIES = {entry.name: entry for entry in read_catalogue()}
SWEEPS = {
    "paper": paper.sweep("paper", QUICKSTART),
    "small": paper.sweep("small", QUICKSTART),
    "small on data": paper.sweep("small", LITE),
}
CONFIGS = {arm: own["config"] for arm, own in read_yaml(paper.FILE)["arms"].items()}
OF_THE_CATALOGUE = [
    (number, entry.name, row) for number in TABLES for entry in ENTRIES.values() for row in entry.rows(number)
]
CLAIMS = [(table, claim) for table in SWEEPS["paper"].tables for claim in table.claims]


@pytest.mark.parametrize("scale", SWEEPS)
def test_each_target_is_a_table(scale):
    assert tuple(table.name for table in SWEEPS[scale].tables) == paper.TARGETS
    assert all(table.rows for table in SWEEPS[scale].tables)


def test_a_table_of_the_small_scale_says_so():
    titles = {scale: [table.title for table in own.tables] for scale, own in SWEEPS.items()}
    assert titles["paper"][1] == "Table 2: main results"
    assert titles["small"] == [f"{title}, by small detectors in the place of the paper's" for title in titles["paper"]]


def test_there_is_a_target_of_each_table_of_the_paper():
    assert {f"table{number}" for number in TABLES} <= set(paper.TARGETS)


@pytest.mark.parametrize(
    ("number", "config", "row"), OF_THE_CATALOGUE, ids=[f"{number}-{row['row']}" for number, _, row in OF_THE_CATALOGUE]
)
def test_each_row_of_the_catalogue_stands_in_its_table_with_its_numbers(number, config, row):
    table = SWEEPS["paper"].table(f"table{number}")
    found = next(each for each in table.rows if each.label == row["row"])
    numbers = {key.removeprefix("AP_"): value for key, value in row.items() if key not in ("table", "row")}
    assert numbers.items() <= found.paper.items()
    assert found.cells.keys() == found.paper.keys()
    configs = {CONFIGS[arm] for quantity in found.cells.values() for arm in quantity.arms if arm in CONFIGS}
    members = [arm for quantity in found.cells.values() for arm in quantity.arms if arm not in CONFIGS]
    configs |= {CONFIGS[arm] for name in members for arm in SWEEPS["paper"].combined[name]}
    assert config in configs


def test_no_row_stands_in_a_table_that_the_paper_has_not():
    labels = {(f"table{number}", row["row"]) for number, _, row in OF_THE_CATALOGUE}
    of_sweep = {
        (table.name, row.label) for table in SWEEPS["paper"].tables if table.name[:5] == "table" for row in table.rows
    }
    assert of_sweep - labels == {("table5", "Faster R-CNN ×2, on the proposals of 1:9")}
    assert not any(table.lacking for table in SWEEPS["paper"].tables)


def test_numbers_of_single_modules_are_those_of_heads_and_of_detectors_apart():
    table = SWEEPS["paper"].table("table5")
    cells = {row.label: {key: one.text for key, one in row.cells.items()} for row in table.rows}
    assert cells["Faster R-CNN w/ PRM, 1:1 and 1:1"] == {
        "AP": "prm-1to1-1to1/AP",
        "R1": "prm-1to1-1to1/1:1/AP",
        "R2": "prm-1to1-1to1/1:1#2/AP",
    }
    assert cells["Faster R-CNN ×2, 1:1 and 1:9"] == {"AP": "two/AP", "R1": "only-1to1/AP", "R2": "only-1to9/AP"}


def papers_of(what):
    """The numbers that the paper's tables have of ARM/WHAT: of CrowdHuman's plain detector there are two."""
    return {
        row.paper[column]
        for table in SWEEPS["paper"].tables
        for row in table.rows
        for column, quantity in row.cells.items()
        if quantity.text == what and column in row.paper
    }


def sums(terms):
    """All that a quantity can be by the paper's tables, which may differ by 0.2 in AP75 of the same detector."""
    if not terms:
        return {0.0}
    (sign, arm, what), *others = terms
    return {round(sign * own + rest, 3) for own in papers_of(f"{arm}/{what}") for rest in sums(others)}


@pytest.mark.parametrize(("table", "claim"), CLAIMS, ids=[f"{table.name}: {claim.text}" for table, claim in CLAIMS])
def test_a_claims_number_is_the_difference_of_the_papers_cells(table, claim):
    found = sums(claim.quantity.terms)
    if claim.paper is None:
        assert not found, "the paper has a number for it"
    else:
        assert any(claim.paper == pytest.approx(each, abs=0.005) for each in found), found


@pytest.mark.parametrize(("table", "claim"), CLAIMS, ids=[f"{table.name}: {claim.text}" for table, claim in CLAIMS])
def test_the_papers_own_number_is_as_its_claim_says(table, claim):
    if claim.paper is not None:
        low, high = {"positive": (0.01, 100), "negative": (-100, -0.01), "zero": (-claim.margin, claim.margin)}[
            claim.expected
        ]
        assert low <= claim.paper <= high


@pytest.mark.parametrize("scale", SWEEPS)
def test_no_two_arms_are_trained_alike(scale):
    arms = [
        {key: value for key, value in own.items() if key != "probe_gradients"} for own in SWEEPS[scale].arms.values()
    ]
    assert not [own for index, own in enumerate(arms) if own in arms[:index]]


@pytest.mark.parametrize("scale", SWEEPS)
def test_no_arm_is_trained_for_nothing(scale):
    sweep = SWEEPS[scale]
    needed = {name for table in sweep.tables for arm in table.arms for name in (arm, *sweep.combined.get(arm, ()))}
    assert needed == {*sweep.arms, *sweep.combined}


def test_the_papers_scale_trains_the_papers_configs():
    arms = SWEEPS["paper"].arms
    assert {arm: own["config"] for arm, own in arms.items()} == CONFIGS
    assert arms["prm"] == {"config": CONFIGS["prm"], "probe_gradients": 50}
    assert set(CONFIGS.values()) == {entry.name for entry in ENTRIES.values() if entry.paper}


@pytest.mark.parametrize("scale", ["small", "small on data"])
def test_the_small_scale_trains_another_detector_by_the_method_of_the_papers(scale):
    for arm, own in SWEEPS[scale].arms.items():
        entry = ENTRIES[CONFIGS[arm]]
        if entry.plain:
            assert (own["rga"], own["prm"]) == (False, False)
            assert not {"lambda0", "ratios", "anneal", "sampling"} & own.keys()
        else:
            assert own["lambda0"] == entry.lambda0
            assert own["ratios"] == ",".join(entry.ratios)
            assert own.get("anneal", "linear") == entry.anneal
            assert own.get("sampling", "soft") == entry.sampling
        assert own.get("settings", []) == (["model.backbone.depth=34"] if "101" in entry.name else [])


@pytest.mark.parametrize(
    ("scale", "config", "cascade"),
    [
        ("small", "quickstart", "quickstart-cascade"),
        ("small on data", "faster-rcnn_r18-lite_fpn_rga-prm", "cascade-rcnn_r18-lite_fpn_rga-prm"),
    ],
)
def test_the_small_scale_has_a_cascade_for_a_cascade(scale, config, cascade):
    for arm, own in SWEEPS[scale].arms.items():
        assert own["config"] == (cascade if "cascade" in arm else config)
        assert own["config"] in ENTRIES


def test_the_small_scale_says_what_it_has_not():
    lacking = {table.name: table.lacking for table in SWEEPS["small"].tables if table.lacking}
    assert lacking.keys() == {"table3"}
    assert lacking["table3"][0] == "YOLOv2 (here YOLOv3): not trained at the small scale"
    assert len(lacking["table3"]) + len(SWEEPS["small"].table("table3").rows) == 12


def test_twice_the_schedule_is_twice_the_epochs():
    assert SWEEPS["paper"].arms["plain-2x"] == {"config": "faster-rcnn_r50_fpn_2x_coco"}
    small = SWEEPS["small"].arms
    assert "epochs" not in small["plain"]
    assert small["plain-2x"]["epochs"] == 20  # the quickstart's 10
    for scale in ("paper", "small"):
        arms = paper.sweep(scale, QUICKSTART, epochs=3).arms
        assert (arms["plain"]["epochs"], arms["plain-2x"]["epochs"]) == (3, 6)


@pytest.mark.parametrize(("number", "count"), [("table1", 3), ("table4", 6), ("table8", 8)])
def test_where_arms_are_trained_alike_tables_speak_of_the_one_that_is(number, count):
    small = SWEEPS["small"]
    assert len(small.table(number).arms) == count
    assert "crowd" not in small.arms
    assert small.table("table7").rows[0].cells["AP50"].text == "plain/AP50"


def heads_of(entry):
    """The heads whose numbers a run of a config has."""
    return head_names(parse_ratios(entry.ratios)) if entry.ratios else ("detector",)


def measured(entry, measure):
    """Names of the numbers that a measure of a run of this config yields."""
    heads = heads_of(entry)
    variants = (*heads, "ensemble") if len(heads) > 1 else heads
    pairs = [(head,) for head in heads] + [(one, two) for one in heads for two in heads if one != two]
    bins = ("all", "1-3", "4-7", "8+")
    metrics = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), 0.5)
    if "crowdhuman" in entry.name:
        metrics = dict.fromkeys(("mMR", "AP50", "JI"), 0.5)
    numbers = dict.fromkeys(("early", "late", "rise", "early_share", "late_share", "whole", "mean", "share"), 0.5)
    numbers |= dict.fromkeys(
        ("per_object", "pearson", "spearman", "ratio", "angle", "below", "AP", "AP50", "AP75"), 0.5
    )
    keys = {
        "evaluate": [],
        "gt_bins": [{"head": head, "name": head, "bin": each} for head in variants for each in bins],
        "positives": [{"head": head} for head in heads],
        "proposals": [{"bin": each} for each in bins],
        "accuracy": [{"head": head, "on": on} for head in heads for on in ("positives", "negatives")],
        "gradients": [{"compared": "R-CNN heads"}],
        "scores": [{"heads": pair, "bin": each, "score": "class"} for pair in pairs for each in bins],
    }[measure]
    rows = [SimpleNamespace(**numbers, **key) for key in keys]
    return numbers_of(measure, SimpleNamespace(rows=rows, heads=dict.fromkeys(variants, metrics)))


@pytest.mark.parametrize("target", paper.TARGETS)
def test_all_that_a_table_asks_for_is_something_that_its_measures_yield(target):
    table = SWEEPS["paper"].table(target)
    quantities = [*(one for row in table.rows for one in row.cells.values()), *(one.quantity for one in table.claims)]
    for quantity in quantities:
        for _, arm, what in quantity.terms:
            if arm in CONFIGS:
                entry = ENTRIES[CONFIGS[arm]]
                known = {name for measure in table.measures for name in measured(entry, measure)}
            else:
                known = {"AP", "AP50", "AP75", "AP@1-3", "AP@8+"}
            assert what in known, quantity.text
