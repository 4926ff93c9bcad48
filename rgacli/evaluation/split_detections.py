"""A trained detector's detections on one split of a dataset: made when they are asked for, and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rgacli.config.dataset import (
    annotation_file,
    classes_of,
    dataset_config,
    existing_annotation_file,
    require_classes,
    use_images,
    use_split,
)
from rgacli.config.recipe import variant_names
from rgacli.data.annotations import load_annotations, load_with_objects
from rgacli.data.layout import TEST_DEV, find_test_dev
from rgacli.engine.progress_hook import ProgressHook
from rgacli.evaluation.detect import detect, saved_detections, split_dataloader
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.trained import Trained


@dataclass(frozen=True)
class SplitDetections:
    """A detector, the split it is to be run on, and where what is made of it goes.

    Attributes:
        name: The detector's.
        cfg: Its config, pointed at the split.
        checkpoint: Its weights.
        split: "train", "val" or "test": which of the config's dataloaders reads the split.
        home: Folder of what is made of the detector.
        folder: Folder of the detections: <variant>.json in COCO's results format.
    """

    name: str
    cfg: Config
    checkpoint: Path
    split: str
    home: Path
    folder: Path

    @classmethod
    def of(cls, trained: Trained, split: str, data: Path | None = None) -> SplitDetections:
        """Return those of a detector on a split.

        Args:
            trained: The detector; its config is pointed at the split, in place.
            split: Of `rgacli.data.layout.SPLITS`, or TEST_DEV.
            data: Folder of another dataset than the one trained on.

        Raises:
            UsageError, DataError: there is no such split, or its classes are not the detector's.
        """
        cfg = trained.cfg
        if split == TEST_DEV:
            trained_on = Path(annotation_file(dataset_config(cfg.test_dataloader))).parent.parent
            use_images(cfg, find_test_dev(data or trained_on))
        elif data:
            use_split(cfg, split, data)
        place = f"{data.resolve().name}-{split}" if data else split
        loader = "test" if split == TEST_DEV else split
        folder = trained.home / "detections" / place
        return cls(trained.name, cfg, trained.checkpoint, loader, trained.home, folder)

    @property
    def figures(self) -> Path:
        """Folder of the figures: one per split, as with the detections."""
        return self.home / "figures" / self.folder.name

    @cached_property
    def dataset(self) -> Any:
        """The split's dataset config."""
        return dataset_config(split_dataloader(self.cfg, self.split))

    @cached_property
    def ann_file(self) -> str:
        """The split's annotation file.

        Raises:
            DataError: it is not there.
        """
        return existing_annotation_file(self.dataset)

    @cached_property
    def images(self) -> dict[str, Any]:
        """The split's images and categories; annotations may be lacking."""
        return load_annotations(Path(self.ann_file), labelled=False, classes=classes_of(self.dataset))

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """The split's ground truth of the detector's classes, read once.

        Raises:
            DataError: it is malformed or has no objects.
        """
        return load_with_objects(Path(self.ann_file), self.split, classes_of(self.dataset))

    def detect(
        self, *, measured: bool = True, methods: Sequence[str] = (), progress: Progress | None = None
    ) -> dict[str, dict[str, float]]:
        """Run the detector over the split.

        Args:
            measured: Whether its variants are measured, which needs annotations.
            methods: Further variants of a detector with parallel heads.
            progress: Told of each batch.

        Returns:
            Variant -> metrics, none unless measured.

        Raises:
            DataError: as `annotations`, if measured; its classes are not the detector's.
        """
        # A split that cannot be measured on, or not of this detector's classes, is refused before the work.
        require_classes(self.cfg.model, self.dataset, self.annotations if measured else self.images)
        return detect(
            self.cfg,
            self.checkpoint,
            self.split,
            self.folder,
            log_dir=self.home / "logs",
            hooks=[ProgressHook(progress)],
            measured=measured,
            methods=methods,
        )

    def load(
        self, *, measured: bool = True, methods: Sequence[str] = (), progress: Progress | None = None
    ) -> dict[str, list[dict]]:
        """Return variant -> detections: those on disk where they are of this checkpoint and split, else made now.

        Args:
            measured: They are wanted to be measured, which needs annotations.
            methods: Further variants of a detector with parallel heads.
            progress: Told of each batch.
        """
        content = self.annotations if measured else self.images
        variants = [*variant_names(self.cfg), *methods]
        arguments = [(self.cfg, self.checkpoint)], content, self.ann_file, self.folder, variants
        found = saved_detections(*arguments)
        if found is None:
            self.detect(measured=measured, methods=methods, progress=progress)
            return saved_detections(*arguments)
        tell(f"{self.name}: using the detections in {self.folder}")
        return found
