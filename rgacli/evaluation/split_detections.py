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
    set_images,
    set_split,
    split_read,
)
from rgacli.config.limits import set_limits
from rgacli.config.recipe import variant_names
from rgacli.data.annotations import load_annotations, load_with_objects
from rgacli.data.coco_layouts import TEST_DEV, find_test_dev
from rgacli.engine.progress_hook import ProgressHook
from rgacli.errors import UsageError
from rgacli.evaluation.detect import changed_meanwhile, detect, saved_detections, split_dataloader
from rgacli.evaluation.max_dets import MaxDets, max_dets_for, require_max_dets
from rgacli.evaluation.views import Views
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.trained import Trained
from rgacli.wording import param


@dataclass(frozen=True)
class SplitDetections:
    """A trained detector, the split it is to be run on, and where its detections go.

    Attributes:
        trained: The detector; its config is pointed at the split.
        split: "train", "val", "test" or TEST_DEV: what it is.
        loader: "train", "val" or "test": which of the config's dataloaders reads it.
        folder: Folder of the detections: <variant>.json in COCO's results format.
        asked: How many detections of an image are to count; None for as many as the split needs.
        views: How the detector looks at an image; once and whole without.
    """

    trained: Trained
    split: str
    loader: str
    folder: Path
    asked: int | None = None
    views: Views | None = None

    @classmethod
    def of(
        cls,
        trained: Trained,
        split: str,
        data: Path | None = None,
        *,
        max_dets: int | None = None,
        views: Views | None = None,
    ) -> SplitDetections:
        """Return those of a detector on a split.

        Args:
            trained: The detector; its config is pointed at the split, in place.
            split: Of `rgacli.data.layout.SPLITS`, or TEST_DEV; where val stands in for test, or test for val, it is
                that split.
            data: Folder of another dataset than the one trained on.
            max_dets: How many detections of an image are to count; None for as many as the split needs.
            views: How the detector looks at an image.

        Raises:
            UsageError, DataError: `max_dets` is below 1, there is no such split, or its classes are not the detector's.
        """
        require_max_dets(max_dets)
        cfg, found = trained.cfg, split
        if split == TEST_DEV:
            trained_on = Path(annotation_file(dataset_config(cfg.test_dataloader))).parent.parent
            set_images(cfg, find_test_dev(data or trained_on))
        elif data:
            found = set_split(cfg, split, data)
        else:
            found = split_read(cfg, split)
        if found != split:
            tell(f"{data or trained.name}: {found} stands in for {split}, which there is none of")
        place = f"{data.resolve().name}-{found}" if data else found
        loader = "test" if split == TEST_DEV else split
        if views:
            place += f"-{views.name}"
        return cls(trained, found, loader, trained.place / "detections" / place, max_dets, views)

    @property
    def name(self) -> str:
        """The detector's name."""
        return self.trained.name

    @property
    def cfg(self) -> Config:
        """The detector's config, pointed at the split."""
        return self.trained.cfg

    @property
    def checkpoint(self) -> Path:
        """The detector's weights."""
        return self.trained.checkpoint

    @property
    def home(self) -> Path:
        """The detector's own folder."""
        return self.trained.home

    @property
    def place(self) -> Path:
        """Folder of what is made of the detector."""
        return self.trained.place

    @property
    def figures(self) -> Path:
        """Folder of the figures: one per split, as with the detections."""
        return self.place / "figures" / self.folder.name

    @cached_property
    def dataset(self) -> Any:
        """The split's dataset config."""
        return dataset_config(split_dataloader(self.cfg, self.loader))

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

    @cached_property
    def max_dets(self) -> MaxDets:
        """How many detections of an image count on the split."""
        return max_dets_for(self.annotations, self.asked)

    def make_room(self, *, measured: bool = True) -> None:
        """Raise the limits in the detector's config, in place, to as many detections as count.

        Args:
            measured: Without, as many as somebody asked for: annotations are not looked at.
        """
        number = self.max_dets.value if measured else self.asked
        if number and (raised := set_limits(self.cfg, number)):
            tell(f"{self.name}: {raised}")

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
        self.make_room(measured=measured)
        if self.place != self.home:
            tell(f"{self.home} may not be written to: what is made of {self.name} goes to {self.place}")
        return detect(
            self.trained,
            self.loader,
            self.folder,
            log_dir=self.place / "logs",
            hooks=[ProgressHook(progress)],
            measured=measured,
            max_dets=self.max_dets.value if measured else None,
            methods=methods,
            views=self.views,
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
        self.make_room(measured=measured)
        found = self.saved(measured=measured, methods=methods)
        if found is None:
            self.detect(measured=measured, methods=methods, progress=progress)
            return self.just_made(measured=measured, methods=methods)
        tell(f"{self.name}: using the detections in {self.folder}")
        return found

    def just_made(self, *, measured: bool = True, methods: Sequence[str] = ()) -> dict[str, list[dict]]:
        """Return what `detect` has left.

        Raises:
            RunFailed: its checkpoint or annotations were written anew meanwhile.
        """
        found = self.saved(measured=measured, methods=methods)
        if found is None:
            raise changed_meanwhile(str(self.checkpoint), self.ann_file, self.folder)
        return found

    def saved(self, *, measured: bool = True, methods: Sequence[str] = ()) -> dict[str, list[dict]] | None:
        """Return what `load` would take from disk; None if that is not whole, or not of this checkpoint and split."""
        content = self.annotations if measured else self.images
        variants = [*variant_names(self.cfg), *methods]
        return saved_detections([self.trained], content, self.ann_file, self.folder, variants, self.views)


def distinct_names(detectors: Sequence[SplitDetections]) -> list[str]:
    """Return what tells several detectors apart: their runs' names or, where those are the same, paths.

    Raises:
        UsageError: one stands twice.
    """
    homes = [detector.home.resolve() for detector in detectors]
    for home in homes:
        if homes.count(home) > 1:
            raise UsageError(f"run {home.name} stands twice: name each run once.")
    names = [detector.name for detector in detectors]
    return [str(detector.home) if names.count(detector.name) > 1 else detector.name for detector in detectors]


def require_same_annotations(detectors: Sequence[SplitDetections]) -> None:
    """Raise a UsageError unless all detectors are evaluated on the same annotations, by whatever paths."""
    files = sorted({str(Path(detector.ann_file).resolve()) for detector in detectors})
    if len(files) > 1:
        raise UsageError(
            f"the runs' {detectors[0].split} splits differ ({', '.join(files)}): name one dataset by {param('data')}."
        )
