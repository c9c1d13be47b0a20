"""Tab completion, by its answers and through bash itself."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from seqlab.cli import COMMANDS
from seqlab.cli import main as run_command
from seqlab.completion import BASH, FLAGS, complete, main
from seqlab.config import groups
from seqlab.registry import known_names
from tests.registry.installed import CELL, write_package


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("seqlab tra", ["train "]),
        ("seqlab train ce", ["cell="]),
        ("seqlab train cell", ["cell.", "cell="]),
        ("seqlab train cell=lstm_p", ["cell=lstm_peephole "]),
        ("seqlab train seed=1 -m cell=rnn,lstm_p", ["cell=rnn,lstm_peephole "]),
        ("seqlab train wrap=[zon", ["wrap=[zoneout"]),
        ("seqlab train wrap=[zoneout,weight", ["wrap=[zoneout,weight_drop"]),
        ("seqlab train cell.hid", ["cell.hidden_size="]),
        ("seqlab train cell=lstm cell.", ["cell.bias=", "cell.forget_bias=", "cell.hidden_size=", "cell.name="]),
        ("seqlab train -m cell=rnn,lstm cell.act", ["cell.activation="]),
        ("seqlab train wrap.zoneout.rat", ["wrap.zoneout.rate=", "wrap.zoneout.rates="]),
        ("seqlab train init.chr", ["init.chrono="]),
        ("seqlab train see", ["seed="]),
        ("seqlab train hydra.run", ["hydra.run.dir="]),
        ("seqlab train --mul", ["--multirun "]),
        ("seqlab check lstm_p", ["lstm_peephole "]),
        ("seqlab cells --js", ["--json "]),
        ("seqlab completion z", ["zsh "]),
        ("seqlab generate ru", ["run="]),
        ("seqlab generate pr", ["prompt="]),
        ("seqlab evaluate ", ["run=", "checkpoint=", "picture=", "plugins=", "cache=", "cache_theta=", "cache_lambda="]),
        ("seqlab evaluate run=DIR --", ["--help ", "--json "]),
        ("seqlab predict run=DIR o", ["output=", "overwrite="]),
        ("seqlab predict run=DIR t", ["temperature=", "top_k=", "top_p="]),
        ("seqlab train data.path=", []),  # the shell offers files
        ("seqlab train nothing=", []),
        ("seqlab nothing ", []),
    ],
)
def test_answers(line, candidates):
    assert complete(line) == candidates


def test_an_empty_word_offers_everything():
    assert complete("seqlab ") == [f"{command} " for command in COMMANDS]
    assert set(complete("seqlab train ")) >= {f"{group}=" for group in groups()}
    assert complete("seqlab train cell=") == [f"cell={name} " for name in groups()["cell"]]
    assert complete("seqlab check ") == [f"{name} " for name in known_names()]


def test_cells_and_configs_of_plugins_are_offered(site):
    files = {"leaky/__init__.py": "", "leaky/cells.py": CELL.format(name="leaky", cls="Leaky"), "leaky/conf/optimizer/own.yaml": "rate: 1\n"}
    write_package(site, "leaky", files, {"leaky": "leaky.cells:Leaky"}, "leaky:conf")
    assert complete("seqlab train cell=lea") == ["cell=leaky "]
    assert complete("seqlab train cell=leaky cell.") == ["cell.alpha=", "cell.beta=", "cell.hidden_size="]
    assert complete("seqlab train optimizer=own optimizer.") == ["optimizer.rate="]
    assert complete("seqlab check lea") == ["leaky "]


@pytest.mark.parametrize("command", ["cells", "check", "completion", "bench"])
def test_every_flag_that_is_offered_exists(command, capsys):
    with pytest.raises(SystemExit):
        run_command([command, "--help"])
    usage = capsys.readouterr().out
    assert all(re.search(rf"{flag}\b", usage) for flag in FLAGS[command])


def test_the_scripts_are_printed(capsys):
    assert main(["bash"]) == 0
    assert "complete -o nospace -o default -F _seqlab seqlab" in capsys.readouterr().out
    assert main(["zsh"]) == 0
    assert "compdef _seqlab seqlab" in capsys.readouterr().out


def test_a_shell_has_to_be_named(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "which shell? bash or zsh" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("seqlab train ce", ["cell="]),
        ("seqlab train cell=lstm_p", ["lstm_peephole "]),  # bash keeps the `cell=` before its word break
        ("seqlab train -m cell=rnn,lstm_p", ["rnn,lstm_peephole "]),
        ("seqlab train data.path=", []),
    ],
)
def test_bash_gets_what_stands_behind_its_word_breaks(line, replies, tmp_path):
    (tmp_path / "seqlab").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m seqlab.cli "$@"\n')
    (tmp_path / "seqlab").chmod(0o755)
    call = f"COMP_WORDBREAKS=' =:'; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; _seqlab; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run(["bash", "--norc", "-c", f"{BASH}\n{call}"], env=environment, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert [reply for reply in run.stdout.splitlines() if reply] == replies
