"""`seqlab completion`: tab completion of commands, groups, options and keys, from the names and text of the configs.

The shell calls `seqlab completion --complete "LINE"` at every tab, so nothing heavy is imported: neither torch nor Hydra.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from seqlab import evaluate_command, generate_command, predict_command
from seqlab.cli import COMMANDS
from seqlab.config import cells_without_config, configs, groups
from seqlab.export import command as export_command
from seqlab.registry import known_names

READERS = {"generate": generate_command.READERS, "evaluate": evaluate_command.READERS, "predict": predict_command.READERS, "export": export_command.READERS}
FLAGS = {
    "train": ["--help", "--multirun", "--cfg", "--info", "--hydra-help"],
    "evaluate": ["--help", "--json"],
    "predict": ["--help", "--json"],
    "cells": ["--help", "--size", "--json"],
    "check": ["--help", "--option", "--plugin", "--size", "--quick", "--known-failure", "--json"],
    "bench": ["--help", "--sizes", "--modes", "--reference", "--rounds", "--memory", "--device", "--plugin", "--out"],
    "export": ["--help", "--json"],
    "report": ["--help", "--metric", "--compare", "--out", "--json"],
    "sweep": ["--help", "--json", "--plugin", "--yes"],
    "completion": ["--help"],
}

BASH = """
_seqlab() {
    local line=${COMP_LINE:0:COMP_POINT} cut=
    # readline completes what stands behind the last =, not the whole word: the part before it is cut off again
    [[ $COMP_WORDBREAKS == *=* ]] && { cut=${line##* }; cut=${cut%"${cut##*=}"}; }
    COMPREPLY=()
    while IFS= read -r candidate; do COMPREPLY+=("${candidate#"$cut"}"); done < <(seqlab completion --complete "$line" 2> /dev/null)
}
complete -o nospace -o default -F _seqlab seqlab
"""

ZSH = """
_seqlab() {
    local -a candidates
    candidates=("${(@f)$(seqlab completion --complete "$LBUFFER" 2> /dev/null)}")
    if [[ -n $candidates ]]; then compadd -Q -U -S '' -- "${candidates[@]}"; else compset -P '*='; _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _seqlab seqlab
"""


def main(argv: list[str]) -> int:
    """`seqlab completion bash|zsh` prints the script; `--complete LINE` prints one candidate per line."""
    parser = argparse.ArgumentParser(prog="seqlab completion", description='Print the shell\'s completion: eval "$(seqlab completion bash)"')
    parser.add_argument("shell", nargs="?", choices=["bash", "zsh"])
    parser.add_argument("--complete", metavar="LINE", help="print what may follow this beginning of a command line")
    arguments = parser.parse_args(argv)
    if arguments.complete is not None:
        for candidate in complete(arguments.complete):
            print(candidate)
    elif arguments.shell is None:
        parser.error("which shell? bash or zsh")
    else:
        print({"bash": BASH, "zsh": ZSH}[arguments.shell].strip())
    return 0


def complete(line: str) -> list[str]:
    """What the last word of `line` may become. A candidate that ends the word ends in a space."""
    words = line.split(" ")
    word, before = words[-1], [w for w in words[1:-1] if w]
    if not before:
        return [f"{command} " for command in COMMANDS if command.startswith(word)]
    command = before[0]
    if word.startswith("-"):
        return [f"{flag} " for flag in FLAGS.get(command, ["--help"]) if flag.startswith(word)]
    if command == "train":
        return sorted(_overrides(word, before))
    if command == "check":
        return [f"{name} " for name in known_names() if name.startswith(word)]
    if command in READERS:
        return [f"{key}=" for key in READERS[command] if key.startswith(word)]
    if command == "completion":
        return [f"{shell} " for shell in ("bash", "zsh") if shell.startswith(word)]
    return []


def _overrides(word: str, before: list[str]) -> Iterator[str]:
    """Candidates for an override: group=, group=option (also behind a comma or in a list), key= and group.key=."""
    options = groups()
    group, equals, value = word.partition("=")
    if equals:
        done = value[: max(value.rfind(","), value.rfind("[")) + 1]
        end = "" if "[" in done else " "
        yield from (f"{group}={done}{option}{end}" for option in options.get(group, []) if option.startswith(value[len(done) :]))
        return
    yield from (f"{name}=" for name in options if name.startswith(word))
    if word in options:
        yield f"{word}."
    chosen = {group: re.split(r"[\[\],]+", value) for group, equals, value in (w.partition("=") for w in before) if equals}
    # Experiments, in groups of their own too, only override what others have.
    sources = {group: names for group, names in options.items() if group.partition("/")[0] != "experiment"}
    files = ["train", *(f"{group}/{option}" for group, names in sources.items() for option in chosen.get(group, names))]
    keys = {key for key in _keys(files, word) if key.startswith(word)}
    yield from (f"{key}=" for key in keys if key not in options and ("." in word or "." not in key))


def _keys(names: Sequence[str], word: str) -> Iterator[str]:
    """The dotted key of every value that these configs set, with the group it goes into; of a config none of whose keys can begin with `word`, nothing."""
    written = configs()
    for config, file in ((name, file) for name in names for file, _ in written.get(name, [])):
        text = file.read_text(encoding="utf-8", errors="replace")
        package = "" if "@package _global_" in text or config == "train" else f"{config.rpartition('/')[0].replace('/', '.')}."
        if not package.startswith(word) and not word.startswith(package):
            continue  # reading all of them is most of the time of a tab
        try:
            content = yaml.safe_load(text) or {}
        except yaml.YAMLError:  # a tab cannot say so; `seqlab train` does when the config is chosen
            continue
        yield from (f"{package}{path}" for path in _paths(content))
    for info in cells_without_config():
        if f"cell/{info.name}" in names:
            yield from (f"cell.{option}" for option in ("hidden_size", *info.options))


def _paths(node: dict[str, Any]) -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{path}" for path in _paths(value))
        elif not name.startswith("_") and name != "defaults":
            yield name
