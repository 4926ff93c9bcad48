"""Several separate detectors as one: the R-CNN modules of all of them on the proposals of the first (Table 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.model import ModuleList
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE
from rgacli.modeling.ensembling import Combination, combination
from rgacli.modeling.parallel_cascade import ParallelCascadeRoIHead
from rgacli.modeling.parallel_roi_head import ParallelRoIHead
from rgacli.modeling.stages import HeadOutput, Stage, detect_variants
from rgacli.wording import param

_JOINABLE = (StandardRoIHead, CascadeRoIHead, ParallelRoIHead, ParallelCascadeRoIHead)


class JointDetector(nn.Module):
    """Two-stage detectors whose R-CNN modules score common proposals, each on its own detector's features.

    The paper's row "Faster R-CNN×2": the first detector's RPN proposes, logits are averaged over all heads of all
    detectors, and boxes are those that the first detector trusts. A detector with parallel heads counts by each head.

    Args:
        detectors: Name -> detector, at least two, in eval mode, of the same classes and preprocessing.
        methods: Other ways of combining that are wanted: AVERAGE_PROBS, AVERAGE_BOXES.

    Raises:
        UsageError: a detector has no R-CNN modules that can be joined, or they differ in their number of stages.
    """

    def __init__(self, detectors: Mapping[str, nn.Module], methods: Sequence[str] = ()) -> None:
        super().__init__()
        _require_joinable(detectors)
        self.detectors = ModuleList(detectors.values())
        first = self.detectors[0]
        box_head = getattr(first.roi_head, "box_head", 0)
        heads = sum(len(_heads(detector.roi_head)[0]) for detector in self.detectors)
        self.variants: dict[str, Combination] = {
            # No tilts among separate detectors: all heads count alike.
            variant: combination(variant, [0.5] * heads, box_head)
            for variant in (ENSEMBLE, *methods)
        }

    @property
    def num_parameters(self) -> int:
        """Of what runs: every detector but the RPNs that propose nothing."""
        used = sum(parameter.numel() for parameter in self.detectors.parameters())
        idle = (parameter for detector in self.detectors[1:] for parameter in detector.rpn_head.parameters())
        return used - sum(parameter.numel() for parameter in idle)

    def test_step(self, data: dict[str, Any]) -> SampleList:
        """Leave the ensemble's detections in `pred_instances`, and all variants' in `head_instances`."""
        data = self.detectors[0].data_preprocessor(data, False)
        samples = data["data_samples"]
        found = self.detect(data["inputs"], samples, tuple(self.variants))
        for i, sample in enumerate(samples):
            sample.pred_instances = found[ENSEMBLE][i]
            sample.head_instances = BaseDataElement()
            for variant, instances in found.items():
                sample.head_instances.set_field(instances[i], variant)
        return samples

    @torch.no_grad()
    def detect(self, inputs: Tensor, samples: SampleList, variants: Sequence[str]) -> dict[str, InstanceList]:
        """Return boxes of the named variants in the original images' pixels.

        Args:
            inputs: (B, 3, H, W), preprocessed.
            samples: mmdet's, per image.
            variants: Of those that the detector was made with.
        """
        x = [detector.extract_feat(inputs) for detector in self.detectors]
        first = self.detectors[0]
        proposals = first.rpn_head.predict(x[0], samples, rescale=False)
        return detect_variants(
            self._stages(x),
            {variant: self.variants[variant] for variant in variants},
            proposals,
            [sample.metainfo for sample in samples],
            first.roi_head.test_cfg,
            rescale=True,
        )

    def _stages(self, x: Sequence[Sequence[Tensor]]) -> list[Stage]:
        """Return, stage by stage, the heads of all detectors in a row."""
        each = [_stages_of(detector.roi_head, own) for detector, own in zip(self.detectors, x, strict=True)]
        return [_side_by_side(stages) for stages in zip(*each, strict=True)]


def _side_by_side(stages: Sequence[Stage]) -> Stage:
    owner = [(stage, k) for stage in stages for k in range(len(stage.heads))]

    def outputs(rois: Tensor, heads: Sequence[int]) -> dict[int, HeadOutput]:
        found = {}
        for stage in stages:
            own = {index: owner[index][1] for index in heads if owner[index][0] is stage}
            if own:
                by_head = stage.outputs(rois, list(own.values()))
                found |= {index: by_head[k] for index, k in own.items()}
        return found

    return Stage([stage.heads[k] for stage, k in owner], outputs)


def _heads(roi_head: nn.Module) -> list[Sequence[nn.Module]]:
    """Return the R-CNN modules of each stage."""
    stages = roi_head.bbox_head if isinstance(roi_head, CascadeRoIHead) else [roi_head.bbox_head]
    return [heads if isinstance(heads, ModuleList) else [heads] for heads in stages]


def _stages_of(roi_head: nn.Module, x: Sequence[Tensor]) -> list[Stage]:
    if hasattr(roi_head, "stages"):
        return roi_head.stages(x)
    extractors = roi_head.bbox_roi_extractor
    stages = []
    for index, (head,) in enumerate(_heads(roi_head)):
        extractor = extractors[index] if isinstance(extractors, ModuleList) else extractors

        def outputs(
            rois: Tensor, heads: Sequence[int], extractor: nn.Module = extractor, head: nn.Module = head
        ) -> dict[int, HeadOutput]:
            features = extractor(x[: extractor.num_inputs], rois)
            if roi_head.with_shared_head:
                features = roi_head.shared_head(features)
            return dict.fromkeys(heads, head(features))

        stages.append(Stage([head], outputs))
    return stages


def _require_joinable(detectors: Mapping[str, nn.Module]) -> None:
    remedy = f"{param('method', 'joint-nms')} and wbf need nothing in common"
    for name, detector in detectors.items():
        roi_head = getattr(detector, "roi_head", None)
        if type(roi_head) not in _JOINABLE or not hasattr(detector, "rpn_head"):
            kind = type(roi_head if roi_head is not None else detector).__name__
            raise UsageError(f"{name}: a {kind} has no R-CNN modules that could score another's proposals; {remedy}.")
    stages = {name: len(_heads(detector.roi_head)) for name, detector in detectors.items()}
    if len(set(stages.values())) > 1:
        counts = ", ".join(f"{name} {number}" for name, number in stages.items())
        raise UsageError(f"the detectors differ in their number of R-CNN stages ({counts}); {remedy}.")
