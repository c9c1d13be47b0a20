"""Where configs lie: seqlab's own beside the package in a checkout, inside it in a wheel; a plugin's in its own package.

Standard library only: completion and error messages know groups and options from the names of the files.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seqlab.cell_text import CellInfo, package_folder
from seqlab.registry import entry_points, list_cells

ENTRY_POINT_GROUP = "seqlab.configs"
# what every config has at its top: parts, and single values
KEYS = (
    *("data", "task", "frontend", "encoder", "cell", "wrap", "init", "attention", "head", "optimizer", "schedule", "trainer", "logger", "callbacks", "match"),
    *("seed", "tags", "plugins", "executor", "monitor", "mode", "test_best", "ckpt_path", "init_from", "gradcheck", "overfit"),
)


@dataclass(frozen=True)
class ConfigFolder:
    """A folder of configs and who brings it. `error` says why the folder of an entry point cannot be used."""

    origin: str
    path: Path
    error: str = ""


def config_folder() -> Path:
    """The absolute path of conf/. Raises FileNotFoundError when the installation is broken."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml in {package} or {package.parent}. Reinstall seqlab.")


@cache
def plugin_folders() -> tuple[ConfigFolder, ...]:
    """The folder of each entry point of the group `seqlab.configs`, whose value is a package or package:folder."""
    folders = []
    for _, value, distribution in sorted(entry_points(ENTRY_POINT_GROUP)):
        package, _, inside = value.partition(":")
        try:
            path = (package_folder(package) / inside.replace(".", "/")).resolve()
        except (ImportError, ValueError) as error:
            folders.append(ConfigFolder(distribution, Path(), f"its entry point {ENTRY_POINT_GROUP} names {value!r}: {error}"))
            continue
        problem = "" if path.is_dir() else f"its entry point {ENTRY_POINT_GROUP} names {value!r}, but there is no folder {path}"
        folders.append(ConfigFolder(distribution, path, problem))
    return tuple(folders)


def config_folders() -> list[ConfigFolder]:
    """Every folder that can be used, each once, seqlab's own first. What is wrong with others stands in `plugin_folders`."""
    usable = [ConfigFolder("seqlab", config_folder()), *(folder for folder in plugin_folders() if not folder.error)]
    return list({folder.path: folder for folder in reversed(usable)}.values())[::-1]


def configs() -> dict[str, list[tuple[Path, str]]]:
    """{"group/name": [(file, origin)]} from every folder. More than one file means that somebody's config is shadowed."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for folder in config_folders():
        for file in sorted(folder.path.rglob("*.yaml")):
            found.setdefault(file.relative_to(folder.path).with_suffix("").as_posix(), []).append((file, folder.origin))
    return found


def shadowed_configs() -> dict[str, str]:
    """{"group/name": what is wrong} for each config that two folders hold, and each cell of a plugin that has the name of a
    config of seqlab's. Hydra takes the first without a word, so a run that chooses one of them is refused."""
    written, wrong = configs(), {}
    for name, files in written.items():
        if len(files) > 1:
            both = " and by ".join(f"{file} ({origin})" for file, origin in files[:2])
            wrong[name] = f"the config {name!r} is given twice, by {both}. Rename one of them, or uninstall the plugin."
    for info in list_cells():
        name = f"cell/{info.name}"
        file, origin = written.get(name, [(Path(), info.origin)])[0]
        if not info.error and origin == "seqlab" != info.origin:
            wrong[name] = f"the cell {info.name!r} of {info.origin} ({info.location}) has the name of the config {file} ({origin}). Rename the cell."
    return wrong


def groups() -> dict[str, list[str]]:
    """{group: options}, with the cells of plugins that have no config file of their own.

    Hydra's own groups are left out, and the parts of an experiment (experiment/NAME/…), which nobody chooses by hand.
    """
    found: dict[str, set[str]] = {}
    for name in configs():
        group, _, option = name.rpartition("/")
        if group and not group.startswith(("hydra/", "experiment/")):
            found.setdefault(group, set()).add(option)
    found.setdefault("cell", set()).update(info.name for info in cells_without_config())
    return {group: sorted(options) for group, options in sorted(found.items())}


def cells_without_config() -> list[CellInfo]:
    """The cells of plugins that bring no cell/NAME.yaml: their config is made from what their text says."""
    written = configs()
    return [info for info in list_cells() if info.origin != "seqlab" and not info.error and f"cell/{info.name}" not in written]


def check_whole(config: Container[str]) -> None:
    """Raise ValueError for the config of a run from which a key was taken away, as by ~logger."""
    for key in KEYS:
        if key not in config:
            remedy = f"choose {key}=none" if "none" in groups().get(key, []) else f"give {key}=VALUE"
            raise ValueError(f"the config has no {key}, as if by ~{key}; expected one in every run. Leave that out, or {remedy}.")
