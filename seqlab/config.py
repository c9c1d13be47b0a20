"""Where the configs lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def config_folder() -> Path:
    """The absolute path of conf/. Raises FileNotFoundError when the installation is broken."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml in {package} or {package.parent}. Reinstall seqlab.")
