"""What of a detector is exported: one of its heads, their ensemble, or all of a detector without parallel heads."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.config import Config

from rgacli.config.recipe import parallel_ratios, variant_names
from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE, select_variants
from rgacli.wording import param


@dataclass(frozen=True)
class ExportedHead:
    """The head that is exported, or the ensemble.

    Attributes:
        variant: As files are named: "1to9", "ensemble".
        name: As a prediction's key: "1:9", "ensemble".
        index: Of the head that is taken alone; None is the detector as a whole.
        parallel: Whether the detector has parallel heads.
    """

    variant: str
    name: str
    index: int | None
    parallel: bool

    @classmethod
    def of(cls, cfg: Config, head: str) -> ExportedHead:
        """Return what is meant by a head's name, of a config's detector.

        Args:
            cfg: The config.
            head: "ensemble", a head's ratio ("1:9") or its index ("0" is the first).

        Raises:
            UsageError: there is no such head, or it is "all".
        """
        names = variant_names(cfg)
        if head == "all":
            raise UsageError(f"{param('head', head)}: an export is of one head, or of their ensemble.")
        (variant,) = select_variants(head, names)
        parallel = bool(parallel_ratios(cfg))
        whole = head == ENSEMBLE or not parallel
        return cls(variant, names[variant], None if whole else list(names).index(variant), parallel)

    @property
    def file_stem(self) -> str:
        """What the export is called on disk: "fold", "1to9", "detector"."""
        return "fold" if self.parallel and self.index is None else self.variant

    def __str__(self) -> str:
        return "all heads folded into one" if self.name == ENSEMBLE else self.name
