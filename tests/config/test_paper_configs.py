"""The bundled configs are the rows of the paper's tables, at the paper's settings."""

import copy
import functools
import re
from collections import defaultdict

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import HOOKS, init_default_scope

from rgacli.config import files as configs
from rgacli.config.catalogue import read_catalogue
from rgacli.config.recipe import describe_method, set_method
from rgacli.method import RGA, head_names, parse_ratios

CATALOGUE = {entry.name: entry for entry in read_catalogue()}
ROWS = [name for name, entry in CATALOGUE.items() if entry.paper and not entry.plain]
COCO_ROWS = [name for name in ROWS if name.endswith("_coco")]
PLAIN = [name for name, entry in CATALOGUE.items() if entry.plain]

# The paper's tables as printed. "-": no number; of a detector with one R-CNN module, its AP is the detector's.
TABLES = {
    1: (
        "AP_R1 AP_R2 AP",
        """- - 36.3
        - - 34.9
        37.0 36.9 37.3""",
    ),
    2: (
        "AP AP50 AP75",
        """36.1 58.1 38.8
        37.3 59.0 40.5
        40.1 62.0 43.8
        40.5 58.6 44.2
        37.3 59.4 40.8
        38.4 59.9 41.8
        41.0 63.2 45.1
        41.1 59.8 44.8
        38.1 60.0 41.6
        39.0 60.5 42.3
        41.4 63.3 45.4
        41.7 60.0 45.5""",
    ),
    3: (
        "AP AP50 AP75 APs APm APl",
        """21.6 44.0 19.2 5.0 22.4 35.5
        31.2 50.4 33.3 10.2 34.5 49.8
        39.1 59.1 42.3 21.8 42.7 50.2
        36.2 59.1 39.0 18.2 39.0 48.2
        38.2 60.3 41.7 20.1 41.1 50.2
        43.0 64.0 47.0 25.3 45.6 54.6
        38.7 60.8 42.3 22.3 42.2 48.5
        42.1 61.0 46.0 23.5 45.5 54.7
        40.2 62.1 43.9 23.4 43.6 50.7
        42.9 64.9 46.7 25.6 46.2 53.7
        43.1 61.5 47.0 24.1 46.1 55.4
        45.3 64.0 49.5 26.6 48.1 57.8""",
    ),
    4: (
        "AP AP50 AP75",
        """36.1 58.1 38.8
        36.7 58.5 39.8
        36.9 59.0 40.2
        37.2 59.0 40.8
        37.3 59.4 40.6
        37.2 59.3 40.0""",
    ),
    5: (
        "AP_R1 AP_R2 AP",
        """- - 36.3
        36.3 34.9 36.5
        36.7 36.7 36.8
        36.8 36.9 37.1
        37.0 36.9 37.3""",
    ),
    6: (
        "AP AP50 AP75",
        """37.3 58.8 40.4
        37.1 58.8 40.1
        38.1 60.0 41.6
        37.9 59.6 41.2""",
    ),
    7: (
        "mMR AP50",
        """50.42 84.95
        47.42 85.02
        46.30 85.43
        45.13 86.37""",
    ),
    8: ("AP", "33.3 36.3 35.2 36.1 35.5 35.7 35.2 35.4".replace(" ", "\n")),
}

BACKBONES = {
    "r50": dict(type="ResNet", depth=50),
    "r101": dict(type="ResNet", depth=101),
    "x101-32x4d": dict(type="ResNeXt", depth=101, groups=32, base_width=4),
    "x101-64x4d": dict(type="ResNeXt", depth=101, groups=64, base_width=4),
}
DETECTORS = {
    "faster-rcnn": ("FasterRCNN", "ParallelRoIHead"),
    "cascade-rcnn": ("CascadeRCNN", "ParallelCascadeRoIHead"),
}

load_config = functools.cache(configs.load_config)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_the_papers_tables_has_its_config_and_its_numbers(table):
    columns, printed = TABLES[table]
    expected = [
        {metric: float(number) for metric, number in zip(columns.split(), line.split(), strict=True) if number != "-"}
        for line in printed.splitlines()
    ]
    rows = defaultdict(dict)
    for entry in CATALOGUE.values():
        for result in entry.paper:
            if result["table"] == table:
                numbers = {metric: value for metric, value in result.items() if metric not in ("table", "row")}
                row = rows[result["row"]]
                assert all(row[metric] == numbers[metric] for metric in row.keys() & numbers.keys())
                row.update(numbers)  # the two detectors of Table 5's second row each have their part of it

    def in_order(results):
        return sorted(results, key=lambda numbers: sorted(numbers.items()))

    assert in_order(rows.values()) == in_order(expected)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_says_what_the_resolved_config_says(name):
    entry, cfg = CATALOGUE[name], load_config(name)
    assert entry.description
    assert entry.plain == cfg.get("plain", False)
    assert list(entry.paper) == cfg.get("paper", [])
    hooks = [hook for hook in cfg.get("custom_hooks", []) if hook.type == "GradientAnnealingHook"]
    assert [(hook.lambda0, hook.get("anneal", "linear")) for hook in hooks] == [
        (entry.lambda0, entry.anneal) for _ in range(not entry.plain)
    ]
    roi_head = cfg.model.get("roi_head", {})
    assert roi_head.get("ratios", []) == list(entry.ratios)
    assert entry.sampling == (None if entry.plain else roi_head.get("sampling", "soft"))


def test_a_config_takes_no_row_from_the_one_it_inherits():
    for name in CATALOGUE:
        if CATALOGUE[name].paper:
            assert (configs.CONFIGS / f"{name}.py").read_text().count("\npaper = ") == 1


@pytest.mark.parametrize("name", ROWS)
def test_a_name_says_the_method(name):
    """{detector}_{backbone}_{neck}_{what}_{schedule}_{dataset}; the paper's λ0 and ratios go without saying."""
    what = name.split("_")[3]
    lambda0 = int(found[1]) if (found := re.search(r"lambda(\d+)", what)) else 7 if "rga" in what else 1
    ratios = re.findall(r"(\d+)to(\d+)", what) or ([("1", "1"), ("1", "9")] if "prm" in what else [("1", "3")])
    entry = CATALOGUE[name]
    assert entry.lambda0 == lambda0
    assert entry.anneal == ("none" if "no-anneal" in what else "linear")
    assert entry.ratios == tuple(map(":".join, ratios))
    assert entry.sampling == ("hard" if "hard" in what else "soft")


@pytest.mark.parametrize("name", COCO_ROWS)
def test_a_row_has_the_papers_settings(name):
    """Sec. 4.1, "Implementation Details"; schedules as in Detectron."""
    cfg = load_config(name)
    detector, backbone, neck, *_, schedule, _ = name.split("_")
    assert (cfg.model.type, cfg.model.roi_head.type) == DETECTORS[detector]
    assert {key: cfg.model.backbone.get(key) for key in BACKBONES[backbone]} == BACKBONES[backbone]
    assert (neck, cfg.model.neck.type) == ("fpn", "FPN")

    epochs, milestones = {"1x": (12, [8, 11]), "2x": (24, [16, 22])}[schedule]
    assert cfg.train_cfg.max_epochs == epochs
    (steps,) = [scheduler for scheduler in cfg.param_scheduler if scheduler.type == "MultiStepLR"]
    assert (steps.begin, steps.end, steps.milestones, steps.gamma) == (0, epochs, milestones, 0.1)
    optimizer = dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)
    assert cfg.optim_wrapper.type == "OptimWrapper"
    assert without_scope(cfg.optim_wrapper.optimizer) == optimizer
    # 8 GPUs of 2 images; on other numbers `rgacli train` scales the learning rate from here.
    assert (cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size) == (2, 16)

    rcnn = cfg.model.train_cfg.rcnn
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        assert (stage.sampler.type, stage.sampler.num) == ("RandomSampler", 512)
    bbox_head = cfg.model.roi_head.bbox_head
    for head in bbox_head if isinstance(bbox_head, list) else [bbox_head]:
        assert (head.type, head.fc_out_channels) == ("Shared2FCBBoxHead", 1024)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_config_builds_at_its_full_size_with_a_head_per_ratio(name):
    cfg = load_config(name)
    init_default_scope("mmdet")
    with torch.device("meta"):  # shapes without memory: a tenth of a second each
        model = MODELS.build(copy.deepcopy(cfg.model))
    modules = [module_name for module_name, _ in model.named_modules() if module_name.endswith(".fc_cls")]
    stages = cfg.model.get("roi_head", {}).get("num_stages", 1)
    if not CATALOGUE[name].plain:
        assert len(modules) == stages * len(CATALOGUE[name].ratios)
        assert "rgacli.core" in cfg.custom_imports.imports
        (hook,) = [hook for hook in cfg.custom_hooks if hook.type == "GradientAnnealingHook"]
        assert HOOKS.build(hook).rga == RGA(CATALOGUE[name].lambda0, CATALOGUE[name].anneal)


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_the_catalogue_says_is_what_is_trained(name):
    entry, cfg = CATALOGUE[name], copy.deepcopy(load_config(name))
    set_method(cfg)
    if entry.plain:
        assert describe_method(cfg).endswith(" as the config has it, no PRM, no RGA")
    else:
        names = ", ".join(head_names(parse_ratios(list(entry.ratios))))
        heads = f"{len(entry.ratios)} R-CNN head{'s' * (len(entry.ratios) > 1)} at {names}"
        assert describe_method(cfg) == f"{heads} ({entry.sampling} sampling), λ0 {entry.lambda0:g} ({entry.anneal})"


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_config_is_mmdets_own(name):
    (base,) = re.findall(r'^_base_ = "(.+)"$', (configs.CONFIGS / f"{name}.py").read_text(), re.MULTILINE)
    cfg = without_scope(load_config(name).to_dict())
    assert cfg.pop("plain") is True
    assert cfg.pop("paper")
    assert cfg == load_config(base).to_dict()


def without_scope(value):
    """A config's value without the notes that mmengine leaves in what comes from another package."""
    if isinstance(value, dict):
        return {key: without_scope(item) for key, item in value.items() if key != "_scope_"}
    return [without_scope(item) for item in value] if isinstance(value, list) else value
