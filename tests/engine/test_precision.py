import pytest
import torch
from mmengine.optim import build_optim_wrapper

from rgacli.config.files import load_config
from rgacli.engine.precision import set_mixed_precision
from rgacli.errors import UsageError

R50 = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"


def wrapper(dtype, **settings):
    cfg = load_config(R50)
    cfg.optim_wrapper.update(settings)
    set_mixed_precision(cfg, dtype)
    return build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)


@pytest.mark.parametrize(("dtype", "scales"), [("fp16", True), ("bf16", False)])
def test_fp16_has_a_loss_scaler_and_bf16_none(dtype, scales):
    assert wrapper(dtype).loss_scaler.is_enabled() is scales


@pytest.mark.parametrize("loss_scale", [512.0, dict(init_scale=512.0)])
def test_a_loss_scale_of_the_configs_own_stays(loss_scale):
    # mmdet's AMP configs name mmengine's wrapper.
    built = wrapper("fp16", type="AmpOptimWrapper", loss_scale=loss_scale)
    assert built.loss_scaler.get_scale() == 512


@pytest.mark.parametrize(("dtype", "expected"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_the_forward_pass_is_cast_and_the_weights_are_not(dtype, expected):
    model, built = torch.nn.Linear(2, 2), wrapper(dtype)
    with built.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == expected
    assert model.weight.dtype == torch.float32
    assert model(torch.ones(1, 2)).dtype == torch.float32


def test_a_gpu_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GTX 1080")
    set_mixed_precision(load_config(R50), "fp16")
    with pytest.raises(UsageError, match="GTX 1080 has no bf16"):
        set_mixed_precision(load_config(R50), "bf16")
