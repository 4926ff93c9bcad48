import copy

import pytest
import torch
from mmengine.config import Config

from rgacli.config.files import load_config
from rgacli.config.recipe import set_method
from rgacli.errors import UsageError
from rgacli.export.stock import write_stock
from rgacli.method import parse_ratios
from rgacli.modeling.checkpoints import read_checkpoint
from tests.support import families, tiny
from tests.support.processes import python_code

FAMILIES = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco",
]
PROVENANCE = dict(run="base", ratios="1:1,1:9", metrics=dict(AP=0.5))


def trained(folder, name, ratios):
    """A config and a checkpoint of random weights under which heads differ, and the model itself."""
    cfg = families.family(name)
    set_method(cfg, ratios=parse_ratios(ratios))
    cfg.model.roi_head.keep_heads = True
    model = tiny.build(cfg.model)
    tiny.scramble(model.roi_head)
    torch.save(dict(state_dict=model.state_dict()), folder / "weights.pth")
    return cfg, model.eval()


def exported(folder, cfg, head=None):
    """Exports, and builds what was exported."""
    arguments = dict(classes=("a", "b", "c"), ann_file="val.json", provenance=PROVENANCE)
    write_stock(cfg, folder / "weights.pth", folder / "out", head=head, **arguments)
    stock = Config.fromfile(folder / "out/config.py")
    model = tiny.build(stock.model)
    model.load_state_dict(read_checkpoint(folder / "out/model.pth")["state_dict"])
    return stock, model.eval()


def assert_same(expected, found):
    """Up to the rounding of sums in another order."""
    assert len(expected) == len(found) > 5
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-3)
    assert torch.equal(found.labels, expected.labels)


def detect(model):
    with torch.no_grad():
        return model.test_step(copy.deepcopy(tiny.batch()))


@pytest.mark.parametrize("ratios", ["1:1,1:9", "1:9,1:1,1:3"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_folded_detector_is_stock_and_detects_what_the_ensemble_does(tmp_path, name, ratios):
    cfg, model = trained(tmp_path, name, ratios)
    stock, folded = exported(tmp_path, cfg)
    assert stock.model.roi_head.type == ("CascadeRoIHead" if "cascade" in name else "StandardRoIHead")
    assert type(folded.roi_head).__module__.startswith("mmdet.")
    for expected, found in zip(detect(model), detect(folded), strict=True):
        assert_same(expected.pred_instances, found.pred_instances)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_exported_head_detects_what_it_did_among_the_others(tmp_path, name):
    cfg, model = trained(tmp_path, name, "1:1,1:9")
    _, single = exported(tmp_path, cfg, head=1)
    for expected, found in zip(detect(model), detect(single), strict=True):
        assert_same(expected.head_instances.get("1to9"), found.pred_instances)


def test_the_files_say_where_they_come_from_and_name_nothing_of_ours(tmp_path):
    cfg, _ = trained(tmp_path, FAMILIES[1], "1:1,1:9")
    stock, _ = exported(tmp_path, cfg)
    meta = read_checkpoint(tmp_path / "out/model.pth")["meta"]
    assert meta["dataset_meta"]["classes"] == ("a", "b", "c")
    assert meta["provenance"] == stock.provenance == PROVENANCE
    assert stock.test_evaluator == dict(type="CocoMetric", ann_file="val.json", metric=["bbox", "segm"])
    assert "rgacli" not in (tmp_path / "out/config.py").read_text().replace("provenance", "")
    assert stock.model.backbone.init_cfg is None


def test_what_a_config_imports_beyond_ours_is_imported_by_the_export(tmp_path):
    cfg, _ = trained(tmp_path, FAMILIES[0], "1:1,1:9")
    cfg.custom_imports = dict(imports=["rgacli.core", "json"], allow_failed_imports=False)
    stock, _ = exported(tmp_path, cfg)
    assert stock.custom_imports == dict(imports=["json"], allow_failed_imports=False)


def test_a_detector_with_heads_of_mmdets_own_is_refused(tmp_path):
    cfg = load_config("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py")
    with pytest.raises(UsageError, match="RetinaNet has no parallel heads: it is a stock detector already"):
        write_stock(cfg, tmp_path / "x.pth", tmp_path, classes=(), ann_file="", provenance={})


@pytest.mark.slow  # an interpreter of its own
def test_mmdet_loads_it_without_any_of_our_roi_heads(tmp_path):
    cfg, _ = trained(tmp_path, FAMILIES[0], "1:1,1:9")
    exported(tmp_path, cfg)
    output = python_code(
        """
        import importlib.util, sys
        # Nothing of ours but the module that stands for mmcv's compiled one.
        spec = importlib.util.spec_from_file_location("native_ops", "rgacli/compat/native_ops.py")
        native_ops = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native_ops)
        native_ops.install()
        import numpy as np
        from mmdet.apis import inference_detector, init_detector
        model = init_detector(sys.argv[1] + "/config.py", sys.argv[1] + "/model.pth", device="cpu")
        found = inference_detector(model, np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
        ours = {name for name in sys.modules if name.startswith("rgacli.")} - {"rgacli.errors", "rgacli.wording"}
        print(len(found.pred_instances) > 0, model.dataset_meta["classes"], ours)
        """,
        tmp_path / "out",
    )
    assert output.splitlines()[-1] == "True ('a', 'b', 'c') set()"
