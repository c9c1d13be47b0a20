"""WAV files and folders of them: what is read, and what is said of those that cannot be."""

from __future__ import annotations

import pickle
import struct
import wave
from pathlib import Path

import pytest
import torch

from seqlab.data.audio_folder import AudioFolder
from seqlab.data.base import Example
from seqlab.data.fsdd import FSDD
from seqlab.data.fsdd_strings import FSDDStrings
from seqlab.data.transcripts import BLANK, Transcripts
from seqlab.data.wav import read_wav, write_wav
from tests.data.spoken_sets import RATE, tone, write_fsdd, write_spoken

TEXTS = [f"{n % 3} {n % 2}{n % 3}" for n in range(12)]


def write_raw(path: Path, data: bytes, width: int = 2, channels: int = 1, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, bytes([128, 192, 0])),
        (2, b"\x00\x00\x00\x40\x00\x80"),
        (3, b"\x00\x00\x00\x00\x00\x40\x00\x00\x80"),
        (4, b"\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x80"),
    ],
)
def test_every_width_of_sample_is_read_alike(tmp_path: Path, width: int, data: bytes) -> None:
    samples, rate = read_wav(write_raw(tmp_path / "a.wav", data, width))
    assert rate == RATE
    assert samples.tolist() == [0.0, 0.5, -1.0]


def test_an_extensible_header_of_pcm_is_read_and_one_of_floats_is_not(tmp_path: Path) -> None:
    """What ffmpeg writes for 24 bits."""
    plain = write_raw(tmp_path / "plain.wav", b"\x00\x00\x40" * 4, width=3)
    content = plain.read_bytes()
    for name, subformat, longer in (("pcm", 1, 24), ("float", 3, 24), ("torn", 1, 0)):
        guid = struct.pack("<H", subformat) + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
        header = struct.pack("<IH", 40, 0xFFFE) + content[22:36] + struct.pack("<HHI", 22, 24, 4) + guid
        size = struct.pack("<I", len(content) + longer - 8)
        (tmp_path / f"{name}.wav").write_bytes(content[:4] + size + content[8:16] + header + content[36:])
    assert torch.equal(read_wav(tmp_path / "pcm.wav", RATE)[0], read_wav(plain, RATE)[0])
    with pytest.raises(ValueError, match=r"float\.wav is no WAV file of PCM samples: unknown format: .*Convert it"):
        read_wav(tmp_path / "float.wav", RATE)
    with pytest.raises(ValueError, match=r"torn\.wav is no WAV file of PCM samples: the sizes in its header contradict each other"):
        read_wav(tmp_path / "torn.wav", RATE)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(3), RATE)
    torch.testing.assert_close(read_wav(tmp_path / "a.wav")[0], tone(3), rtol=0, atol=1.1 / 2**15)  # half a step of 16 bits, and 32767/32768


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"ID3 this is music"), "is no WAV file of PCM samples"),
        (lambda path: path.write_bytes(b""), "is no WAV file of PCM samples: it ends within its header"),
        (lambda path: write_raw(path, b"\0" * 8, channels=2), "has 2 channels; expected 1"),
        (lambda path: write_raw(path, b"\0" * 8, rate=44100), "has 44100 samples per second; expected 8000"),
        (lambda path: write_raw(path, b""), "holds no sample"),
        (lambda path: path.write_bytes(write_raw(path, b"\0" * 80).read_bytes()[:-10]), "holds 35 samples; its header says 40"),
    ],
)
def test_other_sound_is_refused_with_its_name(tmp_path: Path, make, message: str) -> None:
    make(tmp_path / "bad.wav")
    with pytest.raises(ValueError, match=rf"bad\.wav {message}"):
        read_wav(tmp_path / "bad.wav", RATE)


def test_transcripts_by_table_and_by_name_are_the_same(tmp_path: Path) -> None:
    folder = write_spoken(tmp_path / "own", TEXTS)
    by_table = AudioFolder(folder, table=folder / "transcripts.csv")
    by_table.setup()
    named = tmp_path / "named"
    named.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.wav").rename(named / f"{number:02}-{text.replace(' ', '_')}.wav")
    by_name = AudioFolder(named, transcript_pattern=r"-(.*)\.wav")
    by_name.setup()
    assert by_table.spec == by_name.spec
    assert by_table.spec.labels == (BLANK, " ", "0", "1", "2")
    assert by_table.spec.sampling_rate == RATE
    for data in (by_table, by_name):
        assert sorted(text for split in ("train", "val", "test") for text in data.texts(split)) == sorted(TEXTS)
        for split in ("train", "val", "test"):
            for row, text in enumerate(data.texts(split)):
                example = data.splits[split][row]
                assert data.read_out(example.targets.tolist()) == text
                assert len(example.inputs) == 4 * round(0.08 * RATE) - round(0.05 * RATE)  # three tones with their pauses, and a space
        assert ".csv, line " in by_table.place("test", 0)


def test_a_group_stays_on_one_side(tmp_path: Path) -> None:
    folder = write_spoken(tmp_path / "own", TEXTS)
    data = AudioFolder(folder, table=folder / "transcripts.csv", group_pattern=r"^(\d)", fractions=(0.6, 0.2, 0.2))
    data.setup()
    sides = [{data.recordings[split][row].samples.shape for row in range(len(data.recordings[split]))} for split in ("train", "val", "test")]
    assert all(sides)
    lines = [int(data.place(split, row).rsplit(" ", 1)[1]) - 2 for split in ("train", "val", "test") for row in range(len(data.recordings[split]))]
    assert sorted(lines) == list(range(12))
    with_ten = next(split for split in data.recordings if any(data.place(split, row).endswith("line 12") for row in range(len(data.recordings[split]))))
    assert any(data.place(with_ten, row).endswith("line 3") for row in range(len(data.recordings[with_ten])))  # 1.wav and 10.wav


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "3.wav").unlink(), r"transcripts\.csv, line 5: no recording '3\.wav' is among the 11 files"),
        (lambda folder: write_wav(folder / "x.wav", tone(1), RATE), r"x\.wav has no transcript in .*transcripts\.csv, like 0 further of 13"),
        (lambda folder: write_wav(folder / "7.wav", tone(1), 16000), r"7\.wav has 16000 samples per second; expected 8000"),
        (lambda folder: append(folder, "0.wav,1 1"), r"line 14: the recording '0\.wav' has a transcript already, in .*line 2"),
    ],
)
def test_folder_and_table_that_disagree(tmp_path: Path, change, message: str) -> None:
    folder = write_spoken(tmp_path / "own", TEXTS)
    change(folder)
    with pytest.raises(ValueError, match=message):
        AudioFolder(folder, table=folder / "transcripts.csv").setup()


def append(folder: Path, line: str) -> None:
    with open(folder / "transcripts.csv", "a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_a_symbol_that_training_lacks_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write_spoken(tmp_path / "own", TEXTS)
    data = AudioFolder(folder, table=folder / "transcripts.csv")
    data.setup()
    place = data.place("test", 0)
    table = folder / "transcripts.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[int(place.rsplit(" ", 1)[1]) - 1] += "ß"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{place}: the transcript .* has 'ß', which no training transcript has; expected ' ', '0', '1', '2'\."):
        AudioFolder(folder, table=table).setup()


def test_a_name_without_a_transcript_is_named(tmp_path: Path) -> None:
    folder = write_spoken(tmp_path / "own", ["0", "1"])
    for pattern in (r"^1\.wav", r"^(1)?"):
        with pytest.raises(ValueError, match=r"finds nothing in the name of .*/0\.wav; expected the transcript of every recording"):
            AudioFolder(folder, transcript_pattern=pattern).setup()


def test_exactly_one_way_to_say_the_transcript(tmp_path: Path) -> None:
    for ways in ({}, {"table": "a.csv", "transcript_pattern": "a"}):
        with pytest.raises(ValueError, match="expected exactly one of them"):
            AudioFolder(tmp_path, **ways)
    with pytest.raises(ValueError, match="no unit is named 'bpe'"):
        AudioFolder(tmp_path, table="a.csv", unit="bpe")


def test_blank_transcripts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"t\.csv, line 2: the transcript is blank"):
        Transcripts.learn("words", ["a b"]).encode("  ", "t.csv, line 2")


def test_the_official_split_of_fsdd(tmp_path: Path) -> None:
    data = FSDD(write_fsdd(tmp_path))
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [40, 20, 20]  # type: ignore[arg-type]
    example = data.splits["test"][0]
    assert int(example.targets) == 0
    assert len(example.inputs) == round(0.05 * RATE)  # number 0 of anna; number 10 is 10 ms longer


def test_strings_are_of_their_splits_recordings_alone(tmp_path: Path) -> None:
    data = FSDDStrings(min_digits=2, max_digits=3, num_train=6, num_val=4, num_test=8, max_pause=0.0, data_dir=write_fsdd(tmp_path))
    data.setup()
    again = FSDDStrings(min_digits=2, max_digits=3, num_train=6, num_val=4, num_test=8, max_pause=0.0, data_dir=tmp_path)
    again.setup()
    assert torch.equal(pickle.loads(pickle.dumps(data.splits["test"]))[0].inputs, data.splits["test"][0].inputs)  # to processes that load
    lengths = {"test": {0.05, 0.06}, "val": {0.055, 0.065}, "train": {0.06, 0.061, 0.07, 0.071}}
    for split, known in lengths.items():
        for row, text in enumerate(data.texts(split)):
            example: Example = data.splits[split][row]
            assert torch.equal(example.inputs, again.splits[split][row].inputs)
            digits = [int(word) for word in text.split()]
            assert 2 <= len(digits) <= 3
            assert any(torch.allclose(example.inputs[: round(s * RATE)], tone(digits[0], s), atol=1e-4) for s in known)
            parts = {round(s * RATE) for s in known}
            sums = {a + b for a in parts for b in parts} if len(digits) == 2 else {a + b + c for a in parts for b in parts for c in parts}
            assert len(example.inputs) in sums


def test_symbols_for_a_decoder_begin_with_marks_and_end_with_the_end() -> None:
    transcripts = Transcripts.learn("characters", ["ab"], "symbols")
    assert transcripts.labels == ("<pad>", "<s>", "</s>", "a", "b")
    assert transcripts.encode("ba", "t.csv, line 2").tolist() == [4, 3, 2]
    assert transcripts.decode([1, 4, 3, 2, 0]) == "ba"
    with pytest.raises(ValueError, match=r"line 3: the transcript 'c' has 'c'.*expected 'a', 'b'\. "):
        transcripts.encode("c", "t.csv, line 3")
    with pytest.raises(ValueError, match=r"no kind of targets is named 'symbol'.*'symbols'"):
        Transcripts("words", (), "symbol")
