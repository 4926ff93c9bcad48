"""What cases are made of: the stage's dataset and run, and what is made of those once."""

from __future__ import annotations

import json
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.campaign.stage import Stage


class Materials:
    """Of a part of the campaign; made when they are first asked for."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @property
    def dataset(self) -> Path:
        """See Stage."""
        return self.stage.dataset

    @property
    def run(self) -> Path:
        """See Stage."""
        return self.stage.run

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """The validation split's annotations."""
        return json.loads((self.dataset / "annotations/val.json").read_text())

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """Detections on the validation split: its own boxes, and some that are wrong."""
        found = []
        for index, each in enumerate(self.annotations["annotations"]):
            entry = {key: each[key] for key in ("image_id", "category_id", "bbox")}
            found.append({**entry, "score": round(0.9 - index / 100, 3)})
            found.append({**entry, "bbox": [1.0, 2.0, 30.0, 20.0], "score": round(0.5 - index / 100, 3)})
        return found

    @property
    def onnx(self) -> Path:
        """The run, exported to ONNX."""

        def export(folder: Path) -> None:
            self.stage.call(
                "export", "onnx", self.run, "--out", folder / "model.onnx", cwd=self.stage.folder, codes=(0,)
            )

        return self.stage.made("onnx", export) / "model.onnx"

    def layout(self, name: str) -> Path:
        """Return the dataset in another layout: "yolo", "voc", "roboflow", "single" or "crowdhuman"."""
        from tests.campaign.inputs import layouts

        return self.stage.made(f"layout-{name}", lambda folder: layouts.write(name, self.dataset, folder))

    def copy_of(self, dataset: Path, folder: Path) -> Path:
        """Return a copy of a dataset as a folder's `data`, whose images are links."""
        target = folder / "data"
        for home, _, names in os.walk(dataset):
            place = target / os.path.relpath(home, dataset)
            place.mkdir(parents=True)
            for name in names:
                source = Path(home, name)
                if source.suffix in (".jpg", ".png"):
                    (place / name).symlink_to(source)
                else:
                    shutil.copy(source, place / name)
        return target

    def copy_of_run(self, folder: Path) -> Path:
        """See Stage."""
        return self.stage.copy_of_run(folder)

    def interrupted(self, folder: Path) -> Path:
        """Return a copy of the run as if it had been killed in its second epoch."""
        run = self.copy_of_run(folder)
        for name in ("epoch_2.pth", "best.pth"):
            (run / "checkpoints" / name).unlink(missing_ok=True)
        return run
