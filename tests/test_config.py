"""Where the configs lie, in a checkout and in a wheel, from any working directory."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from seqlab import config

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder in which `seqlab.config` believes to lie."""
    monkeypatch.setattr(config, "__file__", str(tmp_path / "seqlab/config.py"))
    return tmp_path / "seqlab"


def put(folder):
    folder.mkdir(parents=True)
    (folder / "train.yaml").touch()
    return folder


def test_a_checkout_has_its_configs_beside_the_package(package):
    folder = put(package.parent / "conf")
    assert config.config_folder() == folder


def test_a_wheel_has_its_configs_inside_the_package(package):
    put(package.parent / "conf")  # in site-packages, where anybody may put a folder of this name
    folder = put(package / "conf")
    assert config.config_folder() == folder


def test_an_installation_without_configs_says_where_they_should_be(package):
    with pytest.raises(FileNotFoundError, match=rf"no conf/train.yaml in {package} or {package.parent}. Reinstall seqlab."):
        config.config_folder()


@pytest.mark.slow
def test_a_wheel_trains_from_another_directory(tmp_path):
    build = [sys.executable, "-m", "build", "--quiet", "--wheel", "--no-isolation", "--outdir", tmp_path, CHECKOUT]
    subprocess.run([str(word) for word in build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(installed)
    written = {file.relative_to(CHECKOUT / "conf") for file in (CHECKOUT / "conf").rglob("*.yaml")}
    assert {file.relative_to(installed / "seqlab/conf") for file in installed.rglob("*.yaml")} == written
    (tmp_path / "work").mkdir()

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *words], cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", "import seqlab.config; print(seqlab.config.config_folder())").strip() == str(installed / "seqlab/conf")
    assert "lstm_peephole" in run("-m", "seqlab.cli", "cells")
    assert run("-m", "seqlab.cli", "completion", "--complete", "seqlab train cell=lstm_p") == "cell=lstm_peephole \n"
    assert "What each group decides" in run("-m", "seqlab.cli", "train", "--help")
    assert "run directory: " in run("-m", "seqlab.cli", "train", "debug=fast")
