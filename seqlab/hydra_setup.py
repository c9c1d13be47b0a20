"""What Hydra has to know before it composes a config: the config folders of plugins, and cells that have no YAML."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import UnsupportedValueType

from seqlab.cell_text import CellInfo
from seqlab.config import cells_without_config, config_folders, plugin_folders, shadowed_configs
from seqlab.sweep.job_hash import resolve_job_name

HIDDEN_SIZE = 128  # as in the cells' own configs


class PluginConfigs(SearchPathPlugin):
    """Puts the config folders of plugins behind seqlab's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders()[1:]:
            search_path.append(provider=folder.origin, path=f"file://{folder.path}")


def prepare_hydra() -> None:
    """Make the configs and cells of plugins known to Hydra.

    A plugin whose folder is missing, or whose config has the name of another, is named on stderr, and the rest goes on
    without it; a run that is made of such a config is refused by `check_parts`.
    """
    for message in shadowed_configs().values():
        print(f"seqlab: {message} Until then a run that chooses it is refused.", file=sys.stderr)
    for folder in plugin_folders():
        if folder.error:
            print(f"seqlab: the configs of {folder.origin} are left out: {folder.error}.", file=sys.stderr)
    Plugins.instance().register(PluginConfigs)
    OmegaConf.register_new_resolver("job_hash", resolve_job_name, replace=True)
    for info in cells_without_config():
        ConfigStore.instance().store(group="cell", name=info.name, node=cell_config(info), provider=info.origin)


def check_parts(overrides: Sequence[str]) -> None:
    """Raise ValueError when the config of the run under way is made of one that is shadowed, chosen by the overrides or by another config."""
    wrong = shadowed_configs()
    if not wrong:
        return
    # not Hydra's runtime.choices, which lacks what is chosen in a list and what an experiment builds on
    parts = GlobalHydra.instance().config_loader().compute_defaults_list("train", list(overrides), RunMode.RUN).defaults
    for part in parts:
        if not part.primary and part.config_path in wrong:  # of two train.yaml, seqlab's is always the one
            raise ValueError(wrong[part.config_path])


def cell_config(info: CellInfo) -> dict[str, Any]:
    """The config of a plugin's cell, as its YAML would be. A default that YAML cannot hold stays with the class."""
    config: dict[str, Any] = {"_target_": "seqlab.make_cell", "_partial_": True, "name": info.name, "hidden_size": HIDDEN_SIZE}
    for option, default in info.options.items():
        try:
            OmegaConf.create({option: default})
        except UnsupportedValueType:
            continue
        config[option] = default
    return config
