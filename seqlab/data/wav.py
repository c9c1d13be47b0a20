"""Sound in WAV files. Dimension key: T samples."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SCALES = {1: 1 << 7, 2: 1 << 15, 3: 1 << 23, 4: 1 << 31}  # bytes of a sample: what its loudest value is divided by

PCM, EXTENSIBLE = b"\x01\x00", b"\xfe\xff"  # formats in a header


def read_wav(path: Path, sampling_rate: int | None = None, content: bytes | None = None) -> tuple[Tensor, int]:
    """The samples (T,) in −1..1 of a file with one channel of PCM, 8 to 32 bits, and its sampling rate in Hz.

    sampling_rate: what the rate has to be; None: any. content: the bytes, where they are not read from `path`.
    Raises ValueError naming the file for one that is not such a WAV, is cut short, holds no sample, has several channels or
    another rate.
    """
    try:
        with wave.open(io.BytesIO(_plain(path.read_bytes() if content is None else content))) as file:
            channels, width, rate, count = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
            data = file.readframes(count)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Give the path of an existing file.") from error
    except (wave.Error, EOFError, RuntimeError) as error:  # the last where a chunk is longer than the file says it is
        why = str(error) or ("it ends within its header" if isinstance(error, EOFError) else "the sizes in its header contradict each other")
        raise ValueError(f"{path} is no WAV file of PCM samples: {why}. Convert it, for example with `ffmpeg -i FILE -c:a pcm_s16le OUT.wav`.") from error
    if channels != 1:
        raise ValueError(f"{path} has {channels} channels; expected 1. Mix them, for example with `ffmpeg -i FILE -ac 1 OUT.wav`.")
    if sampling_rate is not None and rate != sampling_rate:
        raise ValueError(
            f"{path} has {rate} samples per second; expected {sampling_rate}. Convert it, for example with `ffmpeg -i FILE -ar {sampling_rate} OUT.wav`."
        )
    if len(data) < count * width:
        raise ValueError(f"{path} holds {len(data) // width} samples; its header says {count}. It is cut short; get it again.")
    if not count:
        raise ValueError(f"{path} holds no sample; expected a recording. Leave it out.")
    return torch.from_numpy(_numbers(data, width) / np.float32(SCALES[width])), rate


def write_wav(path: Path, samples: Tensor, sampling_rate: int) -> None:
    """samples (T,) in −1..1, cut off beyond, as one channel of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sampling_rate)
        file.writeframes((samples.clamp(-1, 1) * (SCALES[2] - 1)).round().to(torch.int16).numpy().astype("<i2").tobytes())


def _plain(content: bytes) -> bytes:
    """The file with a header of PCM where it has the extensible one of PCM, which sound of 24 bits often has and `wave` reads from Python 3.12 on."""
    place = content.find(b"fmt ") + 8
    head = content[place : place + 26]
    return content[:place] + PCM + content[place + 2 :] if head[:2] == EXTENSIBLE and head[24:] == PCM else content


def _numbers(data: bytes, width: int) -> np.ndarray:
    """Little-endian samples as float32, around 0. Of 8 bits they have no sign; of 24 bits numpy knows no type."""
    if width == 1:
        return np.frombuffer(data, np.uint8).astype(np.float32) - SCALES[1]
    if width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        return ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) >> 8).astype(np.float32)
    return np.frombuffer(data, f"<i{width}").astype(np.float32)
