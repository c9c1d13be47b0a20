"""What is wrong with the words of a command line that Hydra could not compose, each in one sentence with what is near."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf

from seqlab.config import config_folder, groups
from seqlab.registry import HOW_TO_ADD, list_cells, unknown

_FLAGS_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--info", "-i"}


def wrong_overrides(argv: Sequence[str]) -> list[str]:
    """One message for each override that names an unknown group, option or key, or cannot be read; Hydra's grammar."""
    options = groups()
    multirun = bool({"-m", "--multirun"} & set(argv))
    folders = {"--config-dir", "-cd"} & set(argv) or any("hydra.searchpath=" in word for word in argv)
    problems, choices, values = [], [], []
    for word in _overrides(argv):
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            problems.append(_unreadable(word, error, options))
            continue
        group = override.key_or_group
        if override.is_sweep_override() and not multirun:
            problems.append(f"{word} names several values, but this is one run. Add -m to run each, or write {group}=[…] for a list.")
        elif group in options and override.type is OverrideType.CHANGE and override.value() is None:
            problems.append(f"{word}: a group takes the name of an option; {group!r} has {', '.join(options[group])}.")
        elif group in options or group.startswith("hydra/"):
            asked = [] if folders else _names(override)  # in folders of the caller's own anything may be
            wrong = [_unknown_option(group, name, options[group]) for name in asked if name not in options.get(group, [name])]
            problems += [f"{word}: {message}" for message in wrong]
            choices += [] if wrong else _first(override)
        elif override.type is OverrideType.CHANGE and group != "hydra.searchpath":
            values.append(override)
        else:
            choices += _first(override)
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", choices, return_hydra_config=True)
    except HydraException:
        return problems  # the fault lies in a config: what Hydra says of it is all there is
    known: Any = OmegaConf.to_container(config, resolve=False)
    wrong_keys = ((override, _unknown_key(override.key_or_group, known, options)) for override in values)
    return problems + [f"{override.input_line}: {message}" for override, message in wrong_keys if message]


def _overrides(argv: Sequence[str]) -> list[str]:
    return [word for word, before in zip(argv, ["", *argv], strict=False) if not word.startswith("-") and before not in _FLAGS_WITH_VALUE]


def _names(override: Override) -> list[str]:
    """The options that an override of a group asks for."""
    value = override.value()
    asked: Any = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    return [getattr(name, "text", name) for name in asked if isinstance(name, str) or hasattr(name, "text")]


def _first(override: Override) -> list[str]:
    """The override, or of a choice its first value; what other sweeps ask for, only their sweeper knows."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={next(override.sweep_string_iterator())}"] if isinstance(override.value(), ChoiceSweep) else []


def _unknown_option(group: str, name: str, known: Sequence[str]) -> str:
    if group != "cell":
        return unknown(f"option of {group!r}", name, known)
    broken = [info for info in list_cells() if info.name == name and info.error]
    return f"cell {name!r} of {broken[0].origin} cannot be used: {broken[0].error}." if broken else unknown("cell", name, known, HOW_TO_ADD)


def _unknown_key(key: str, config: Mapping[str, Any], options: Mapping[str, Sequence[str]]) -> str:
    """What is wrong with a key that is not in the config, or an empty string. Only mappings are looked into."""
    parts = key.split(".")
    node: Any = config
    for depth, part in enumerate(parts):
        parent = ".".join(parts[:depth])
        if isinstance(node, (bool, int, float)):
            return f"{parent} is a single value, {node}, and has no key {part!r}."
        if not isinstance(node, dict):  # a list, null, or an interpolation that only the run resolves
            return ""
        if part not in node:
            names = [str(name) for name in node if not str(name).startswith("_")]
            names = names if parent else sorted({*names, *options})
            same = [path for path in _paths(config) if path.endswith(f".{parts[-1]}")] if depth == len(parts) - 1 else []
            hint = f"+{key}=VALUE adds a key." if parent else ""
            return unknown(f"key of {parent!r}" if parent else "group or key", part, names, hint, same)
        node = node[part]
    return ""


def _paths(node: Mapping[Any, Any], above: str = "") -> Iterator[str]:
    """The dotted path of every key; Hydra's own settings are left out."""
    for name, value in node.items():
        if name == "hydra" and not above:
            continue
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")


def _unreadable(word: str, error: HydraException, options: Mapping[str, Sequence[str]]) -> str:
    if "=" in word:
        return f"{word} cannot be read: {str(error).splitlines()[0]}. Quote a value that holds spaces, commas or brackets: 'key=\"value\"'."
    guesses = [f"{group}={word}" for group, names in options.items() if word in names]
    guess = f" Did you mean {' or '.join(guesses)}?" if guesses else ""
    return f"{word!r} is no override; expected GROUP=NAME or key=value.{guess} `seqlab train --help` lists the groups."
