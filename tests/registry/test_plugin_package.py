"""The example package as its users meet it: built into a wheel, installed, and then known to every command."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "plugin_example"
CHECKOUT = Path(__file__).parent.parent.parent


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seqlab(tmp_path_factory):
    """seqlab(words…) in an environment of its own that has the example installed, and what is installed here. No network."""
    place = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, place / "source")
    run(sys.executable, "-m", "build", "--quiet", "--wheel", "--no-isolation", "--outdir", place / "dist", source)
    (wheel,) = (place / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", place / "venv")
    python = place / "venv/bin/python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (place / "work").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}

    def call(*words):
        return run(python, "-m", "seqlab.cli", *words, cwd=place / "work", env=environment)

    return call


def test_it_is_listed_with_its_source(seqlab):
    (row,) = [row for row in json.loads(seqlab("cells", "--json")) if row["name"] == "mycell"]
    assert (row["origin"], row["options"], row["error"]) == ("leaky-units", {"leak": 0.5}, "")
    assert row["summary"].startswith("Recurrent units that follow their input slowly")
    assert row["source"].startswith("H. Jaeger")


def test_completion_knows_it(seqlab):
    assert seqlab("completion", "--complete", "seqlab train cell=myc") == "cell=mycell \n"
    assert seqlab("completion", "--complete", "seqlab train cell=mycell cell.le") == "cell.leak=\n"
    assert seqlab("completion", "--complete", "seqlab train experiment=leaky") == "experiment=leaky_adder \n"
    assert seqlab("completion", "--complete", "seqlab check myc") == "mycell \n"


def test_its_config_is_made_and_its_folder_of_configs_is_found(seqlab):
    assert "name: mycell\n  hidden_size: 16\n  leak: 0.9\n" in seqlab("train", "experiment=leaky_adder", "--cfg", "job")
    assert "leaky_adder" in seqlab("train", "--help")


@pytest.mark.slow
def test_it_trains(seqlab):
    assert "run directory: " in seqlab("train", "cell=mycell", "cell.leak=0.7", "debug=fast")
    assert "run directory: " in seqlab("train", "experiment=leaky_adder", "debug=fast")


@pytest.mark.slow
def test_it_conforms(seqlab):
    report = json.loads(seqlab("check", "mycell", "--quick", "--json"))
    assert (report["cell"], report["passed"]) == ("mycell", True)
