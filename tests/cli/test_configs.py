import json
import subprocess
import sys

import pytest

from rgacli.config.catalogue import bundled_configs, read_catalogue
from rgacli.config.files import load_config
from tests.cli.commands import error_line, invoke
from tests.cli.test_help import HEAVY


def listed(*arguments):
    """The listing's lines."""
    result = invoke("configs", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def cells(lines):
    """A table's lines as their cells' texts, borders and headings left out."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def names(lines):
    """The configs in the listing, in its order."""
    return [first for first, *_ in cells(lines) if first in bundled_configs()]


def test_the_listing_imports_nothing_heavy():
    code = "import sys; from rgacli.cli.app import app; app(['configs'], standalone_mode=False)\n" + (
        f"found = [name for name in {HEAVY} if name in sys.modules]; assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_the_listing_names_every_config_in_full_within_eighty_columns(folder):
    lines = listed()
    assert set(names(lines)) == set(bundled_configs())
    assert max(map(len, lines)) <= 80


def test_the_listing_shows_what_a_config_trains_and_its_result_in_the_paper(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = listed()
    shown = cells(lines)
    first = shown.index(["faster-rcnn_r50_fpn_rga-prm_1x_coco", "Faster R-CNN w/ RGA+PRM, R-50, 1x", "AP=38.1"])
    assert shown[first + 1] == ["mmdet 1.x: 1:1, 1:9 (soft), λ0 7 (linear)", "", ""]
    first = shown.index(["retinanet_r101_fpn_1x_coco", "RetinaNet, R-101", "AP=39.1"])
    assert shown[first + 1][0] == "mmdet 3: no PRM, no RGA"
    titles = [line for line in lines if line.startswith("Table ")]
    assert len(titles) == 8
    assert titles == sorted(titles)
    assert names(lines)[-2:] == ["quickstart", "quickstart-cascade"]


def test_what_stands_in_no_table_is_shown_with_mmdets_baseline(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    lines = listed()
    shown = cells(lines[lines.index("not in the paper") :])
    assert shown[::2] == [
        ["cascade-rcnn_r18-lite_fpn_rga-prm", *shown[0][1:2], "-"],
        [
            "cascade-rcnn_r50_fpn_rga-prm",
            "Cascade R-CNN with RGA and PRM, ResNet-50, 1x: for your own data.",
            "AP=40.3",
        ],
        ["faster-rcnn_r18-lite_fpn_rga-prm", *shown[4][1:2], "-"],
        ["faster-rcnn_r50_fpn_rga-prm", "Faster R-CNN with RGA and PRM, ResNet-50, 1x: for your own data.", "AP=37.4"],
        ["quickstart", *shown[8][1:2], "-"],
        ["quickstart-cascade", *shown[10][1:2], "-"],
    ]
    assert {row[0] for row in shown[1::2]} == {"mmdet 3: 1:1, 1:9 (soft), λ0 7 (linear)"}


def test_a_table_of_the_paper_shows_its_rows_with_all_their_numbers(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = listed("--table", 6)
    assert [line for line in lines if line.startswith(("Table", "not"))] == ["Table 6: a third head (COCO minival)"]
    assert [row for row in cells(lines) if row[0] in bundled_configs()] == [
        ["faster-rcnn_r50_fpn_prm_1x_coco", "two heads, w/o RGA", "AP=37.3 AP50=58.8 AP75=40.4"],
        ["faster-rcnn_r50_fpn_prm-1to1-1to9-1to3_1x_coco", "third head at 1:3, w/o RGA", "AP=37.1 AP50=58.8 AP75=40.1"],
        ["faster-rcnn_r50_fpn_rga-prm_1x_coco", "two heads, w/ RGA", "AP=38.1 AP50=60.0 AP75=41.6"],
        [
            "faster-rcnn_r50_fpn_rga-prm-1to1-1to9-1to3_1x_coco",
            "third head at 1:3, w/ RGA",
            "AP=37.9 AP50=59.6 AP75=41.2",
        ],
    ]


def test_the_listing_as_json_says_everything():
    result = invoke("configs", "--json")
    entries = {entry["name"]: entry for entry in json.loads(result.stdout)["configs"]}
    assert tuple(entries) == bundled_configs()
    assert entries["faster-rcnn_r50_fpn_rga-no-anneal_1x_coco"] == {
        "name": "faster-rcnn_r50_fpn_rga-no-anneal_1x_coco",
        "description": "RGA without annealing: λ stays at 7.",
        "settings": "mmdet 1.x",
        "plain": False,
        "lambda0": 7.0,
        "anneal": "none",
        "ratios": ["1:3"],
        "sampling": "soft",
        "paper": [{"table": 4, "row": "λ0 7, not annealed", "AP": 36.7, "AP50": 58.5, "AP75": 39.8}],
        "baseline": None,
    }
    assert entries["quickstart"]["paper"] == []


@pytest.mark.parametrize("table", range(1, 9))
def test_a_table_as_json_holds_its_own_rows_only(table):
    entries = json.loads(invoke("configs", "--table", table, "--json").stdout)["configs"]
    rows = {entry.name: [row for row in entry.paper if row["table"] == table] for entry in read_catalogue()}
    assert {entry["name"]: entry["paper"] for entry in entries} == {name: own for name, own in rows.items() if own}


@pytest.mark.parametrize(
    "name", ["cascade-rcnn_r50_fpn_rga-prm_1x_coco", "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"]
)
def test_a_resolved_config_stands_on_its_own(folder, name):
    result = invoke("configs", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "_base_ =" not in result.stdout
    (folder / "mine.py").write_text(result.stdout)
    assert load_config("mine.py").to_dict() == load_config(name).to_dict()
    as_json = json.loads(invoke("configs", "mine.py", "--json").stdout)
    assert as_json == json.loads(json.dumps(load_config(name).to_dict()))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["quikstart"], "'quikstart' is neither a file nor a bundled config"),
        (["quikstart"], "Closest: quickstart, quickstart-cascade. `rgacli configs` lists the bundled ones."),
        (["mmdet::retinanet/retinanet_r50.py"], "there is no such file in"),
        (["--table", 9], "--table 9: the paper has tables 1 to 8."),
        (["--table", 0], "--table 0: the paper has tables 1 to 8."),
        (["quickstart", "--table", 2], "--table lists configs and NAME shows one: give one of the two."),
    ],
)
def test_what_it_cannot_show_is_refused_in_one_line(folder, arguments, complaint):
    result = invoke("configs", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in error_line(result.stderr)
