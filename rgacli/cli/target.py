"""What eval, ensemble and analyze work on: a run, or any checkpoint with its config, on one split of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rgacli import runs
from rgacli.cli.output import say
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from mmengine.config import Config

SplitName = Literal["train", "val", "test"]
TEST_DEV = "test-dev"

RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's name or directory. Default: the latest run.", show_default=False),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="Weights to use in a run's place; needs --config unless they lie in their run or export. What is made "
        "of FILE.pth goes to FILE.rgacli/.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(help="Config of --checkpoint: a bundled name, mmdet::… or a file.", show_default=False),
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Another dataset's folder. Default: the one trained on.", show_default=False),
]
SplitOption = Annotated[
    SplitName,
    typer.Option(help="Which part of the dataset; a dataset without 'test' is evaluated on 'val' in its place."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]


@dataclass(frozen=True)
class Target:
    """A detector, the split it is to be run on, and where what is made of it goes."""

    name: str
    cfg: Config
    checkpoint: Path
    split: str
    home: Path
    detections_dir: Path

    @property
    def figures(self) -> Path:
        """Folder of the figures: one per split, as with the detections."""
        return self.home / "figures" / self.detections_dir.name

    @cached_property
    def dataset(self) -> Any:
        """The split's dataset config."""
        from rgacli.config.dataset import dataset_config
        from rgacli.evaluation.detect import split_dataloader

        return dataset_config(split_dataloader(self.cfg, self.split))

    @cached_property
    def ann_file(self) -> str:
        """The split's annotation file.

        Raises:
            DataError: it is not there.
        """
        from rgacli.config.dataset import existing_annotation_file

        return existing_annotation_file(self.dataset)

    @cached_property
    def images(self) -> dict[str, Any]:
        """The split's images and categories; annotations may be lacking."""
        from rgacli.config.dataset import classes_of
        from rgacli.data.annotations import load_annotations

        return load_annotations(Path(self.ann_file), labelled=False, classes=classes_of(self.dataset))

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """The split's ground truth of the detector's classes, read once.

        Raises:
            DataError: it is malformed or has no objects.
        """
        from rgacli.config.dataset import classes_of
        from rgacli.data.annotations import load_with_objects

        return load_with_objects(Path(self.ann_file), self.split, classes_of(self.dataset))

    def detect(self, *, measured: bool = True, methods: Sequence[str] = ()) -> dict[str, dict[str, float]]:
        """Runs the detector over the split, with a progress display: variant -> metrics, none unless measured.

        Args:
            measured: Whether its variants are measured, which needs annotations.
            methods: Further variants of a detector with parallel heads.

        Raises:
            DataError: as `annotations`, if measured; its classes are not the detector's.
        """
        from rgacli.cli.progress import live_progress
        from rgacli.cli.progress_hook import ProgressHook
        from rgacli.config.dataset import require_classes
        from rgacli.evaluation.detect import detect

        # A split that cannot be measured on, or not of this detector's classes, is refused before the work.
        require_classes(self.cfg.model, self.dataset, self.annotations if measured else self.images)
        with live_progress() as progress:
            return detect(
                self.cfg,
                self.checkpoint,
                self.split,
                self.detections_dir,
                log_dir=self.home / "logs",
                hooks=[ProgressHook(progress)],
                measured=measured,
                methods=methods,
            )

    def detections(self, *, measured: bool = True, methods: Sequence[str] = ()) -> dict[str, list[dict]]:
        """Variant -> detections: those on disk where they are of this checkpoint and split, else made now.

        Args:
            measured: They are wanted to be measured, which needs annotations.
            methods: Further variants of a detector with parallel heads.
        """
        from rgacli.evaluation.detect import saved_detections, variant_names

        content = self.annotations if measured else self.images
        variants = [*variant_names(self.cfg), *methods]
        arguments = [(self.cfg, self.checkpoint)], content, self.ann_file, self.detections_dir, variants
        found = saved_detections(*arguments)
        if found is None:
            self.detect(measured=measured, methods=methods)
            return saved_detections(*arguments)
        say(f"{self.name}: using the detections in {self.detections_dir}")
        return found


def find_target(run: str | None, checkpoint: Path | None, config: str | None, data: Path | None, split: str) -> Target:
    """What the options name; `split` is one of SplitName, or TEST_DEV.

    Raises:
        UsageError: they name nothing usable, or contradict each other.
    """
    if config and checkpoint is None:
        raise UsageError("--config says what a --checkpoint was trained by: give that as well.")
    if checkpoint and run:
        raise UsageError("give a RUN or --checkpoint, not both.")
    home = runs.find_run(run) if checkpoint is None else None

    from rgacli.config.dataset import annotation_file, dataset_config, use_images, use_split
    from rgacli.config.files import load_config
    from rgacli.data.layout import find_test_dev

    if home:
        cfg, weights, folder, name = load_config(str(home.config)), home.last_checkpoint(), home.path, home.name
    else:
        if not checkpoint.is_file():
            raise UsageError(f"checkpoint {checkpoint} does not exist.")
        if runs.is_onnx(checkpoint):
            raise UsageError(f"{checkpoint}: only predict and rgacli.load run an ONNX file, without --config.")
        cfg, weights, name = load_config(config or str(runs.config_of(checkpoint))), checkpoint, checkpoint.stem
        folder = checkpoint.with_suffix(".rgacli")  # its own: checkpoints of many models may lie in one folder
    if split == TEST_DEV:
        trained_on = Path(annotation_file(dataset_config(cfg.test_dataloader))).parent.parent
        use_images(cfg, find_test_dev(data or trained_on))
    elif data:
        use_split(cfg, split, data)
    place = f"{data.resolve().name}-{split}" if data else split
    loader = "test" if split == TEST_DEV else split
    return Target(name, cfg, weights, loader, folder, folder / "detections" / place)
