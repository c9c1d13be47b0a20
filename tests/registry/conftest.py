import copy
import sys

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from seqlab import config, registry


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder of sys.path, and a registry that forgets afterwards what was installed and registered in the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr(registry, "_plugin_files", {})
    Plugins.instance()  # first, as it puts Hydra's own configs into the store
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    modules = set(sys.modules)

    def forget():
        registry._plugins.cache_clear()
        config.plugin_folders.cache_clear()

    forget()
    yield folder
    forget()
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
