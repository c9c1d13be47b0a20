"""The command line: quick where it can be, one paragraph where something is wrong, and the right exit status."""

import os
import re
import subprocess
import sys
import types
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from seqlab import cli
from seqlab.cli import main
from seqlab.command_errors import FULL_ERROR
from seqlab.config import groups
from seqlab.train_command import TRACEBACK


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FULL_ERROR, raising=False)
    monkeypatch.setattr(sys, "argv", sys.argv)  # Hydra reads it, and `seqlab train` sets it
    return tmp_path


def pattern(said):
    """A message in which ~ stands for anything."""
    return ".*".join(re.escape(part.strip()) for part in said.split("~"))


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["cells"], ["cells", "--json"], ["cells", "--help"], ["completion", "--complete", "seqlab train cell.hid"]],
    ids=" ".join,
)
def test_what_is_asked_often_is_answered_without_torch_and_in_half_a_second(words):
    probe = "import sys\nfrom seqlab.cli import main\ntry:\n    main(sys.argv[1:])\nfinally:\n    print('IMPORTED', *sys.modules)"

    def processor_seconds():  # not those of the clock: the machine may be busy with something else
        before = getrusage(RUSAGE_CHILDREN)
        output = subprocess.run([sys.executable, "-c", probe, *words], capture_output=True, text=True, check=True).stdout
        after = getrusage(RUSAGE_CHILDREN)
        assert not {"torch", "lightning", "hydra", "omegaconf"} & set(output.partition("IMPORTED")[2].split())
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_seconds() for _ in range(3)) < 0.5


def test_usage_names_every_command(capsys):
    assert main([]) == 0
    usage = capsys.readouterr().out
    assert all(f"\n  {command} " in usage for command in cli.COMMANDS)


def test_an_unknown_command_gets_the_closest_one(capsys):
    assert main(["trian"]) == 2
    assert "no command is named 'trian'. Did you mean 'train'? Known: train, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("x is 3; expected 4."), 1, f"seqlab stub: x is 3; expected 4. ({FULL_ERROR}=1 shows the traceback.)\n"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), 1, "seqlab stub: [Errno 2] No such file or directory: 'a.txt'"),
        (KeyboardInterrupt("stopped by SIGINT"), 130, "seqlab stub: stopped by SIGINT\n"),
        (BrokenPipeError(), 141, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_of_a_command_ends_in_a_paragraph_and_a_status(error, status, said, monkeypatch, capfd):
    def fail(argv):
        raise error

    monkeypatch.setitem(sys.modules, "stub", types.SimpleNamespace(main=fail))
    monkeypatch.setitem(cli.COMMANDS, "stub", ("stub", ""))
    monkeypatch.setattr(cli.os, "dup2", lambda *descriptors: None)  # pytest's own pipe stays open
    assert main(["stub"]) == status
    message = capfd.readouterr().err
    assert message.startswith(said)
    assert "Traceback" not in message


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fail(argv):
        raise AssertionError("never")

    monkeypatch.setitem(sys.modules, "stub", types.SimpleNamespace(main=fail))
    monkeypatch.setitem(cli.COMMANDS, "stub", ("stub", ""))
    with pytest.raises(AssertionError, match="never"):
        main(["stub"])


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # then nothing is written before the end
    words = [sys.executable, "-m", "seqlab.cli", "completion", "bash"]
    run = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, env=buffered)
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")


MISSPELT = {
    "sedd=1": "sedd=1: no group or key is named 'sedd'. Did you mean 'seed'? Known:  ~ optimizer ~  seed",
    "optimiser=adam": "no group or key is named 'optimiser'. Did you mean 'optimizer'? Known: ",
    "optimizer=adm": "optimizer=adm: no option of 'optimizer' is named 'adm'. Did you mean 'adam'? Known:  ~ sgd",
    "cell=lsmt": "no cell is named 'lsmt'. Did you mean 'lstm'? Known: gru,  ~ Plugins add names through the entry-point group",
    "cell.hiden_size=3": "no key of 'cell' is named 'hiden_size'. Did you mean 'hidden_size'? Known: name, hidden_size",
    "trainer.max_epoch=3": "no key of 'trainer' is named 'max_epoch'. Did you mean 'max_epochs'? Known: ",
    "encodr.num_layers=2": "no group or key is named 'encodr'. Did you mean 'encoder'?",
    "lr=0.1": "no group or key is named 'lr'. Did you mean optimizer.lr?",
    "cell=lstm cell.forget_bais=1": "no key of 'cell' is named 'forget_bais'. Did you mean 'forget_bias'? ",
    "wrap=[zoneout,weight_dorp]": "no option of 'wrap' is named 'weight_dorp'. Did you mean 'weight_drop'?",
    "hydra.run.dri=x": "no key of 'hydra.run' is named 'dri'. Did you mean 'dir'?",
    "lstm": "'lstm' is no override; expected GROUP=NAME or key=value. Did you mean cell=lstm?",
    "tags=[a": "tags=[a cannot be read: ",
    "cell=rnn,lstm": "cell=rnn,lstm names several values, but this is one run. Add -m to run each, or write cell=[…]",
    "logger=null": "logger=null: a group takes the name of an option; 'logger' has  ~ none",
    "-m cell=rnn,lsmt seed=1,2": "cell=rnn,lsmt: no cell is named 'lsmt'. Did you mean 'lstm'?",
    "-m seed=1,2 cell.hiden_size=3": "no key of 'cell' is named 'hiden_size'. Did you mean 'hidden_size'?",
    "-m cell=glob(lstm*) sedd=1": "sedd=1: no group or key is named 'sedd'.",
    "+trainer.new={a:1} trainer.new.a=2 sedd=1": "sedd=1: no group or key is named 'sedd'.",
    "seed.a=1": "seed.a=1: seed is a single value, 0, and has no key 'a'.",
    "hydra.run=3": "Error merging override hydra.run=3 Invalid type assigned: int",
    "+seed=1": "Could not append to config. An item is already at 'seed'. ",
    "hydra/sweeper=optuma": "Could not find 'hydra/sweeper/optuma' Available options in 'hydra/sweeper': basic",
}


@pytest.mark.parametrize("words", MISSPELT)
def test_a_misspelt_word_is_one_line_that_says_what_is_near(words, capsys, workplace):
    assert main(["train", *words.split()]) == 2
    error = capsys.readouterr().err
    assert re.match(pattern(f"seqlab train: ~ {MISSPELT[words]}"), error)
    assert error.count("\n") == 1
    assert not list(workplace.rglob("config.yaml"))


def test_two_misspelt_words_are_two_lines(capsys):
    assert main(["train", "sedd=1", "optimizer=adm"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_config_of_ones_own_that_is_wrong_is_named(capsys, workplace):
    (workplace / "more/experiment").mkdir(parents=True)
    (workplace / "more/experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /cell: lsmt\n")
    assert main(["train", "hydra.searchpath=[file://more]", "experiment=mine"]) == 2
    assert "Could not find 'cell/lsmt'" in capsys.readouterr().err


CANNOT_START = {
    "cell.hidden_size=0": "expected a whole number of at least 1",
    "cell=lstm +cell.alpha=1": "no option of cell 'lstm' is named 'alpha'. Known: ",
    "cell=plugin": "cell.name has no value, and this config needs one. Give cell.name=VALUE.",
    "plugins=[nowhere.py]": "plugin file 'nowhere.py' does not exist",
    "+data.colour=red": "data:  ~ unexpected keyword argument 'colour'",
    "trainer.precision=3": "Precision 3 is invalid",
}


@pytest.mark.parametrize("words", CANNOT_START)
def test_a_run_that_cannot_start_says_why_and_leaves_no_directory(words, capsys, workplace):
    assert main(["train", "debug=fast", "hydra.run.dir=run", *words.split()]) == 1
    error = capsys.readouterr().err
    assert re.match(pattern(f"seqlab train: ~ {CANNOT_START[words]}"), error)
    assert error.count("\n") == 1
    assert f"{FULL_ERROR}=1 shows the traceback" in error
    assert not (workplace / "run").exists()


def test_a_refused_run_leaves_what_was_in_its_directory(workplace):
    (workplace / "run/kept").mkdir(parents=True)
    assert main(["train", "debug=fast", "hydra.run.dir=run", "head.dropout=2"]) == 1
    assert [path.name for path in (workplace / "run").iterdir()] == ["kept"]


def test_a_run_that_fails_later_keeps_the_traceback(capsys, workplace):
    assert main(["train", "debug=fast", "hydra.run.dir=run", "monitor=val/nothing"]) == 1
    assert "Traceback (most recent call last)" in (workplace / "run" / TRACEBACK).read_text()
    assert str(workplace / "run" / TRACEBACK) in capsys.readouterr().err


def test_the_switch_shows_the_traceback(monkeypatch):
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(ValueError, match="at least 1"):
        main(["train", "debug=fast", "cell.hidden_size=0"])


def test_another_runs_directory_is_left_as_it_is(capsys, workplace):
    (workplace / "run").mkdir()
    (workplace / "run/config.yaml").write_text("a: 1\n")
    assert main(["train", "debug=fast", "hydra.run.dir=run"]) == 1
    assert "already holds a run" in capsys.readouterr().err
    assert [file.name for file in (workplace / "run").iterdir()] == ["config.yaml"]


def test_a_run_directory_below_a_file_is_refused(capsys, workplace):
    (workplace / "file").touch()
    assert main(["train", "debug=fast", "hydra.run.dir=file/run"]) == 1
    assert "Choose another run directory with hydra.run.dir=DIR" in capsys.readouterr().err


def test_a_failed_job_of_a_sweep_is_named_and_the_others_run(capsys, workplace):
    assert main(["train", "-m", "debug=fast", "cell.hidden_size=0,3", "hydra.sweep.dir=sweep"]) == 1
    error = capsys.readouterr().err
    assert re.search(r"seqlab train, job 0 \(debug=fast cell.hidden_size=0\): .*expected a whole number of at least 1", error)
    assert re.search(r"seqlab train: failed: job 0 \(debug=fast cell.hidden_size=0\). The other jobs are complete.\n$", error)
    assert "Traceback" not in error
    assert len(list((workplace / "sweep").glob("*/config.yaml"))) == 1  # the failed one leaves no directory
    assert len(list((workplace / "sweep").glob("*/summary.json"))) == 1


def test_help_explains_every_group_and_runs_nothing(workplace):
    output = subprocess.run([sys.executable, "-m", "seqlab.cli", "train", "--help"], capture_output=True, text=True, check=True).stdout
    explained, _, options = output.partition("The groups and their options:")
    for group, names in groups().items():
        assert re.search(rf"^  +{group}  +\S", explained, re.MULTILINE), f"{group} is not explained"
        assert f"{group}: {', '.join(names)}\n" in options
    lines = explained.partition("What each group decides")[2].partition("Keys of the run")[0].splitlines()[1:]
    assert {line.split()[0] for line in lines if line.strip()} == set(groups())
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(("words", "told"), [(["head=pooled"], True), (["head=pooled", "experiment=binary_addition"], False), (["head.unifrm=1"], False)])
def test_parts_beside_the_default_experiment_are_told_of_it(words, told, capsys):
    assert main(["train", *words]) in (1, 2)
    assert ("experiment=none leaves them out" in capsys.readouterr().err) == told
