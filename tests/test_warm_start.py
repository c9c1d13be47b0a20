"""Starting from another run: rows go by their names, the rest by name and shape, and what is left is said."""

from __future__ import annotations

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.warm_start import warm_start
from tests.text_runs import SMALL, TEXT, make_run, save


@pytest.fixture
def old(tmp_path):
    return make_run(tmp_path / "old", "experiment=char_lm")


def fresh(directory, *overrides):
    """A new task, and the directory with the records of its data."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=char_lm", f"data.path={TEXT / 'harbour.txt'}", *SMALL, *overrides])
    data = build_data(config)
    directory.mkdir()
    for name, text in data.records().items():
        (directory / name).write_text(text, encoding="utf-8")
    torch.manual_seed(1)
    return build_task(config, data.spec), data


def weights(run):
    return torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]


def test_the_same_model_takes_over_everything(old, tmp_path) -> None:
    task, _ = fresh(tmp_path / "new")
    warm_start(task, old, tmp_path / "new")
    before = weights(old)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert task.origin is not None
    assert not task.origin["left"]
    assert not task.origin["partly"]


def test_rows_go_by_their_symbols_and_the_rest_is_said(old, tmp_path, caplog) -> None:
    task, data = fresh(tmp_path / "new", "data.lowercase=true", "cell.hidden_size=9")
    start = {name: value.clone() for name, value in task.state_dict().items()}
    with caplog.at_level("INFO", "seqlab"):
        warm_start(task, old, tmp_path / "new")
    before, after, name = weights(old), task.state_dict(), "model.frontend.embedding.weight"
    known = (old / "vocabulary.json").read_text(encoding="utf-8")
    from seqlab.data.vocabulary import Vocabulary

    ids = Vocabulary.from_json(known).ids
    for symbol, row in data.vocabulary.ids.items():
        assert torch.equal(after[name][row], before[name][ids[symbol]] if symbol in ids else start[name][row])
    assert "head.linear.weight" in task.origin["left"]  # another width
    assert set(task.origin["partly"]) == {"frontend.embedding.weight", "head.linear.bias"}
    assert f"frontend.embedding.weight ({len(set(ids) & set(data.vocabulary.ids))} of {len(data.vocabulary)} rows)" in caplog.text


def test_clusters_of_other_symbols_are_left(tmp_path) -> None:
    adaptive = ["head=adaptive", "head.cutoffs=[4]", "head.div_value=1"]
    run = make_run(tmp_path / "old", "experiment=char_lm", *adaptive)
    task, _ = fresh(tmp_path / "new", "data.lowercase=true", *adaptive)
    warm_start(task, run, tmp_path / "new")
    assert "head.softmax.head.weight" in task.origin["left"]  # of the same shape, for other symbols
    same, _ = fresh(tmp_path / "same", *adaptive)
    warm_start(same, run, tmp_path / "same")
    assert not same.origin["left"]


def tagger(directory, lines):
    """A model with a CRF, and the directory with the records of its data."""
    directory.mkdir()
    (directory / "tags.txt").write_text("\n\n".join(lines * 10) + "\n", encoding="utf-8")
    sizes = ["cell.hidden_size=4", "frontend.embedding_size=4", "frontend.spelling_size=4", "frontend.character_size=4", "data.fractions=[0.6,0.2,0.2]"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=conll", f"data.path={directory / 'tags.txt'}", "head.scheme=null", *sizes])
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    data = build_data(config)
    for name, text in data.records().items():
        (directory / name).write_text(text, encoding="utf-8")
    task = build_task(config, data.spec)
    torch.nn.init.normal_(task.model.head.crf.transition_scores)
    return task, data.spec.labels


def test_transitions_go_by_both_of_their_labels(tmp_path) -> None:
    old_task, old = tagger(tmp_path / "old", ["a A\nb B\nc C"])
    save(old_task, tmp_path / "old", "best")
    task, new = tagger(tmp_path / "new", ["b B\nc C\nd D"])
    before, start = old_task.model.head.crf.transition_scores, task.model.head.crf.transition_scores.detach().clone()
    warm_start(task, tmp_path / "old", tmp_path / "new")
    for row, one in enumerate(new):
        for column, other in enumerate(new):
            known = before[old.index(one), old.index(other)] if {one, other} <= set(old) else start[row, column]
            assert task.model.head.crf.transition_scores[row, column] == known


def translation(directory, pairs):
    """A model that translates words, the directory with the records of its data, and the data."""
    directory.mkdir()
    (directory / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    sizes = ["cell.hidden_size=4", "frontend.embedding_size=4", "head.embedding_size=4", "head.attended_size=4", "data.unit=words"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        files = [f"data.{split}={directory / 'pairs.tsv'}" for split in ("train", "val", "test")]
        config = compose("train", ["experiment=parallel_text", *files, *sizes, "callbacks.attention.directory=."])
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    data = build_data(config)
    for name, text in data.records().items():
        (directory / name).write_text(text, encoding="utf-8")
    return build_task(config, data.spec), data


def test_rows_of_both_texts_of_a_translation_go_by_their_symbols(tmp_path) -> None:
    old_task, old_data = translation(tmp_path / "old", [("red dog", "roter hund"), ("red cat", "rote katze")])
    save(old_task, tmp_path / "old", "best")
    task, data = translation(tmp_path / "new", [("cat dog", "katze hund"), ("blue cat", "blaue katze"), ("cat", "rote")])
    start = {name: value.clone() for name, value in task.state_dict().items()}
    warm_start(task, tmp_path / "old", tmp_path / "new")
    before, after = old_task.state_dict(), task.state_dict()
    for name, side in (("frontend.embedding.weight", 0), ("head.embedding.weight", 1), ("head.output.bias", 1)):
        ids = old_data.sides[side].ids
        assert list(ids) != list(data.sides[side].ids)
        for symbol, row in data.sides[side].ids.items():
            known = before[f"model.{name}"][ids[symbol]] if symbol in ids else start[f"model.{name}"][row]
            assert torch.equal(after[f"model.{name}"][row], known), (name, symbol)
    assert not task.origin["left"]


def test_foreign_code_and_strangers_are_refused(old, tmp_path) -> None:
    task, _ = fresh(tmp_path / "new", "cell=gru", "cell.hidden_size=9", "frontend.embedding_size=3")
    with pytest.raises(ValueError, match=r"run directory .*nowhere does not exist"):
        warm_start(task, tmp_path / "nowhere", tmp_path / "new")
    config = old / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("seqlab.frontends.Tokens", "os.system"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"names 'os.system' under frontend"):
        warm_start(task, old, tmp_path / "new")
