"""Values of a config that could be taken, and would train something else than was meant, or nothing."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, ListConfig

from seqlab.tasks import Task


def check_values(config: DictConfig) -> None:
    """Raise ValueError for a seed, tags, plugins or clipping that nothing could be made of, or something else than was meant."""
    seed, tags, plugins, clip = config.seed, config.tags, config.plugins, config.trainer.gradient_clip_val
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}; expected a whole number from 0 to {2**32 - 1}. Give seed=N.")
    if not isinstance(tags, ListConfig) or not all(isinstance(tag, str | int | float) for tag in tags):
        raise ValueError(f"tags is {tags!r}; expected a list of words. Write tags=[one,two], for a single one tags=[one].")
    if not isinstance(plugins, ListConfig):
        raise ValueError(f"plugins is {plugins!r}; expected a list of files. Write plugins=[FILE].")
    if clip is not None and not (isinstance(clip, int | float) and clip > 0):  # 0 would make every gradient zero, and less than 0 turn it round
        raise ValueError(f"trainer.gradient_clip_val is {clip!r}; expected a number above 0. For no clipping give trainer.gradient_clip_val=null.")


def check_directions(config: DictConfig, task: Task) -> None:
    """Raise ValueError where the worst value of a metric would be taken for its best: an accuracy with mode=min, a loss with mode=max."""
    higher: dict[str, bool | None] = {"val/loss": False, **{name: metric.higher_is_better for name, metric in task._meters("val")[1].items()}}
    watching = {"": config, "schedule.": config.schedule or {}, **{f"callbacks.{name}.": callback or {} for name, callback in config.callbacks.items()}}
    for place, node in watching.items():
        monitor, mode = node.get("monitor"), node.get("mode")
        if higher.get(monitor) is not None and mode in ("min", "max") and higher[monitor] != (mode == "max"):
            right = "max" if higher[monitor] else "min"
            raise ValueError(f"{place}monitor is {monitor} with {place}mode={mode}, so that its worst value would count as the best. Give {place}mode={right}.")


def check_device(trainer: DictConfig) -> None:
    """Raise ValueError when a GPU is asked for and there is none, or when more of them are asked for than there are."""
    accelerator, devices = trainer.accelerator, trainer.devices
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available() and not (accelerator == "gpu" and torch.backends.mps.is_available()):
        raise ValueError(
            f"trainer.accelerator is {accelerator!r} but torch {torch.__version__} sees no GPU. "
            "Use trainer=cpu (for a finished run: trainer.accelerator=cpu), or install a torch that is built for the GPU of this machine."
        )
    if accelerator != "cpu" and isinstance(devices, int) and devices > (found := torch.cuda.device_count()) > 0:
        raise ValueError(
            f"trainer.devices is {devices} but torch sees {found} GPU{'s' * (found > 1)}. Give trainer.devices={found}, or trainer.accelerator=cpu."
        )
