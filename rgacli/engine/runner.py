"""mmengine's Runner for our runs: quiet on the terminal, one process or several, resuming inside an epoch."""

from __future__ import annotations

import io
import itertools
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from functools import partial
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from rgacli.config.files import BUILD_ERRORS
from rgacli.engine.distributed import together
from rgacli.engine.trackers import start_trackers
from rgacli.errors import UsageError
from rgacli.messages import tell
from rgacli.wording import param

# mmengine's warnings of its own code, of gradients that our checkpoints hold, and of a server that need not be one.
_NOT_SHOWN = ("deprecated", "gradient of some iterations is lost", "make sure that the mlflow server is running")

# Settings of a dataloader that torch refuses where num_workers is 0.
_OF_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context", "timeout")

_visualizers = itertools.count(1)


class QuietRunner(Runner):
    """mmengine's Runner, with its log in a file and only warnings on the terminal (stderr)."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """Build Runner's logger, whose messages go to the file and only warnings to stderr."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: not any(words in record.getMessage() for words in _NOT_SHOWN))
            elif isinstance(handler, logging.FileHandler):
                handler.handleError = partial(_tell_once, handler)
        return logger

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | Mapping[str, Any], seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """Build Runner's dataloader; where it has no processes of its own, what is said of them is left out."""
        if isinstance(dataloader, Mapping) and not dataloader.get("num_workers"):
            dataloader = {key: value for key, value in dataloader.items() if key not in _OF_WORKERS}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """Build Runner's visualizer, and start its trackers, some of which seed random numbers (ClearML).

        It is a training's own: mmengine would hand a second one of a name in this process the first one's.
        """
        if isinstance(visualizer, Mapping):
            name = visualizer.get("name", self.experiment_name)
            visualizer = dict(visualizer, name=f"{name} {next(_visualizers)}")
        built = super().build_visualizer(visualizer)
        if built._vis_backends:
            with together():
                if is_main_process():
                    start_trackers(built)
            self.set_randomness(**self._randomness_cfg)
        return built

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model, on the CPU too: Runner takes it that a process of several has a GPU."""
        if self.distributed and not torch.cuda.is_available():
            unused = self.cfg.get("find_unused_parameters", False)
            own = dict(type="MMDistributedDataParallel", broadcast_buffers=False, find_unused_parameters=unused)
            model_wrapper_cfg = dict(model_wrapper_cfg or own, device_ids=None)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # mmengine names it
            return super().wrap_model(model_wrapper_cfg, model)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Build Runner's evaluator.

        Ranks send their results to rank 0 and write no files to the working folder for it to read.
        """
        built = super().build_evaluator(evaluator)
        if self.distributed:
            for metric in built.metrics:
                metric.collect_device = "gpu"  # by the process group, on whatever device
        return built

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint's weights and return its content, less the config in it: `resume` would run that text."""
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        if isinstance(checkpoint.get("meta"), dict):
            checkpoint["meta"].pop("config", None)
        return checkpoint

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on where a checkpoint was saved.

        Raises:
            UsageError: it holds no state of a training, or another's.
        """
        try:
            super().resume(filename, *args, **kwargs)
            if not all(isinstance(count, int) and count >= 0 for count in (self.epoch, self.iter)):
                raise ValueError(f"epoch {self.epoch}, iteration {self.iter}")
        except BUILD_ERRORS as error:
            raise cannot_go_on(filename, f"{type(error).__name__}: {error}") from error

    def dump_config(self) -> None:
        """Do nothing: the run directory holds the config already."""


def cannot_go_on(checkpoint: str, why: str, *, shared: bool = False) -> UsageError:
    """Return the error of a checkpoint that holds no state of this training; `shared` if every rank raises it."""
    return UsageError(
        f"checkpoint {checkpoint} holds no state that this training can go on from ({why}); start another from its "
        f"weights by {param('weights', checkpoint)}.",
        shared=shared,
    )


def quiet_stdout() -> AbstractContextManager:
    """Keep what pycocotools prints ("creating index...") off stdout, which belongs to tables and JSON."""
    return redirect_stdout(io.StringIO())


def _tell_once(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """Tell of a text log that cannot be written, and go on: nobody but a reader needs it."""
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.Handler.handleError(handler, record)
        return
    handler.handleError = lambda record: None
    tell(f"the text log {handler.baseFilename} is not whole ({error.strerror}).")


def is_by_iteration(runner: Runner) -> bool:
    """Return whether a training counts iterations alone: to mmengine, all of it is epoch 0."""
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def moment(runner: Runner) -> str:
    """Return where a training stands: "epoch 3", or "iteration 300" of one that counts these alone."""
    return f"iteration {runner.iter}" if is_by_iteration(runner) else f"epoch {runner.epoch}"


def is_validation_due(runner: Runner) -> bool:
    """Return whether a training validates where it stands, as mmengine's loops do after an epoch or iteration."""
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    done, end = (runner.epoch, runner.max_epochs) if by_epoch else (runner.iter, runner.max_iters)
    if runner.val_loop is None or is_inside_epoch(runner) or done < max(1, loop.val_begin):
        return False
    loop._decide_current_val_interval()
    return done % loop.val_interval == 0 or done == end


def is_inside_epoch(runner: Runner) -> bool:
    """Return whether a training by epochs stands after an epoch's beginning and before its end.

    Its end comes after its last iteration: a checkpoint of that iteration is inside, and the validation yet to come.
    """
    loop = runner.train_loop
    return isinstance(loop, EpochBasedTrainLoop) and runner.iter != runner.epoch * len(loop.dataloader)


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop, which on a resume goes on in the middle of an epoch where the checkpoint lies there."""

    def run(self) -> nn.Module:
        """Train, and end the processes that load data: the garbage collector waits 5 seconds for each."""
        with _ending_workers(self):
            return super().run()

    def run_epoch(self) -> None:
        """Train for an epoch, less the batches that were trained on before a resume: those are not even loaded."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self.dataloader.batch_sampler.skip = done
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """mmengine's loop by iterations, which on a resume loads nothing of what was trained on before."""

    def __init__(self, runner: Runner, dataloader: DataLoader | Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        built = self.dataloader
        # mmengine's begins to load here, which cannot be undone once a checkpoint tells what to skip: workers run
        # ahead, samplers are in the middle of a pass. It is given one that loads nothing before it is asked.
        super().__init__(runner, DataLoader(built.dataset), *args, **kwargs)
        self.dataloader = built

    def run(self) -> nn.Module:
        """Train, and end the processes that load data."""
        done = 0
        if isinstance(self.dataloader.batch_sampler.sampler, InfiniteSampler):
            done = self.dataloader.batch_sampler.skip = self._iter
        batches = _InfiniteDataloaderIterator(self.dataloader)
        self.dataloader_iterator = itertools.chain(itertools.repeat(None, done), batches)  # run() skips the first
        with _ending_workers(self, batches):
            return super().run()


@contextmanager
def _ending_workers(loop: BaseLoop, batches: _InfiniteDataloaderIterator | None = None) -> Iterator[None]:
    """At the end of a block, end the processes that load data for a loop and for its validation.

    Args:
        loop: Its dataloader keeps processes that persist.
        batches: What keeps others, in a loop by iterations.
    """
    try:
        yield
    finally:
        dataloaders = (getattr(each, "dataloader", None) for each in (loop, loop.runner.val_loop))
        for each in {getattr(iterating, "_iterator", None) for iterating in (*dataloaders, batches)}:
            if hasattr(each, "_shutdown_workers"):
                each._shutdown_workers()
