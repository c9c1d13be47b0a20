"""What a config that somebody else may have written is allowed to name: naming a function in a config is running it.

Allowed is what the configs of seqlab and of installed plugins name, compared by identity after resolution. Prefixes do not
hold: `torch.optim.optimizer.torch.load` begins like an optimizer. Nothing is imported to find out.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from seqlab.config import configs

log = logging.getLogger("seqlab")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where PyYAML was built with it


def check_targets(config: DictConfig, groups: Sequence[str], path: Path) -> None:
    """Raise ValueError unless each `_target_` in these groups is what a config that is installed names.

    path: the file that the config was read from, for the message. The config has no interpolations: `check_resolved`.
    """
    known = known_targets()
    plain: Any = OmegaConf.to_container(config)
    for group in groups:
        for target in targets(plain.get(group)):
            if isinstance(target, str) and (target in known or _is_one_of(target, known)):
                continue
            raise ValueError(
                f"{path} names {target!r} under {group}; expected what a config of seqlab or of an installed plugin names, "
                "since naming a function here is running it. Install the plugin that the run was made with."
            )


def check_resolved(node: Any, path: Path, key: str = "") -> None:
    """Raise ValueError for an interpolation in plain data: resolving one runs a resolver, and it may become a `_target_`."""
    if isinstance(node, dict):
        for name, value in node.items():
            check_resolved(name, path, key)
            check_resolved(value, path, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            check_resolved(value, path, f"{key}[{place}]")
    elif isinstance(node, str) and "${" in node:
        raise ValueError(f"{path} has the interpolation {node!r} at {key}; expected the values themselves, as training writes them. Restore the file.")


def check_plugins(config: DictConfig, allowed: Sequence[str]) -> None:
    """Raise ValueError when the config names a plugin file that the caller has not allowed."""
    trusted = {Path(file).expanduser().resolve() for file in allowed}
    foreign = [file for file in config.plugins if Path(file).expanduser().resolve() not in trusted]
    if foreign:
        raise ValueError(f"the run was trained with the plugin files {foreign}; they are imported only when you name them: plugins=[{','.join(foreign)}].")


def targets(node: Any) -> Iterator[Any]:
    """Every value of a key `_target_`, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield value
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def known_targets() -> frozenset[str]:
    """Every `_target_` of the configs that are installed, but for what they tell Hydra itself."""
    contents = [_content(file, origin) for name, files in configs().items() for file, origin in files if not name.startswith("hydra/")]
    found = (target for content in contents for target in targets({key: value for key, value in content.items() if key != "hydra"}))
    return frozenset(target for target in found if isinstance(target, str))


def _content(file: Path, origin: str) -> dict[Any, Any]:
    """A config as plain data. What a broken one of a plugin names is not known, and the others are not held up by it."""
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, yaml.YAMLError, ValueError) as error:
        log.warning("the config %s (%s) cannot be read and is left out: %s", file, origin, error)
        return {}
    return content if isinstance(content, dict) else {}


def _is_one_of(target: str, known: frozenset[str]) -> bool:
    """Whether the name is another one for a thing that a known name stands for, such as torch.optim.adam.Adam."""
    thing = _imported(target)
    return thing is not None and any(_same(thing, _imported(name)) for name in known)


def _imported(name: str) -> Any:
    """What a dotted name stands for among the modules that are imported already; None where it stands for nothing."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        thing: Any = sys.modules.get(".".join(parts[:end]))
        if thing is None:
            continue
        for part in parts[end:]:
            thing = inspect.getattr_static(thing, part, None) if not inspect.isclass(thing) else getattr(thing, part, None)
            if thing is None:
                return None
        return thing
    return None


def _same(one: Any, other: Any) -> bool:
    """Identity; of methods of a class, which are made anew each time they are asked for, that of class and function."""
    if inspect.ismethod(one) and inspect.ismethod(other):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other
