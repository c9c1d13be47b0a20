"""Pictures in files, and what is read in them. Dimension key: H rows, W columns."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.data.base import Example, SequenceDataModule
from seqlab.data.file_answers import as_text, find_in_folder, write_file_answers

log = logging.getLogger("seqlab")


def read_image(path: Path) -> Tensor:
    """The pixels (H, W) of a picture in 0..1, colours as their brightness. Raises ValueError naming a file that is no picture."""
    from PIL import Image, UnidentifiedImageError  # comes with matplotlib; read where it is used, as that is

    try:
        with Image.open(path) as picture:
            return torch.from_numpy(np.asarray(picture.convert("L")).astype(np.float32) / 255)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no picture that can be read; expected PNG or another common format. Convert it.") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Give a picture that is whole.") from error


class PictureData(SequenceDataModule):
    """Data whose inputs are pictures and whose targets are text. New input is a picture file or a folder of them.

    files: which files of a folder are pictures. size: rows and columns that a picture has, None for any number of columns.
    """

    def __init__(self, files: str, size: tuple[int, int | None], batch_size: int, eval_batch_size: int | None, num_workers: int, seed: int) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        self.files, self.size = files, size
        self._read_files: list[Path] = []  # what read_new read last

    @abstractmethod
    def as_input(self, pixels: Tensor) -> Tensor:
        """(H, W) -> what the model reads."""

    @abstractmethod
    def joined(self, symbols: Sequence[str]) -> str:
        """The symbols of an answer -> text."""

    def restore(self, directory: Path) -> None:
        """Nothing was learned from the data: the config of the run says it all."""

    def read_new(self, file: Path) -> list[Example | None]:
        self._read_files = find_in_folder(file, self.files, "pictures") if file.is_dir() else [file]
        return [Example(self.as_input(self._checked(place)), torch.zeros(0, dtype=torch.long)) for place in self._read_files]

    def _checked(self, place: Path) -> Tensor:
        """The pixels of a file. Raises ValueError for another size than that of training."""
        pixels = read_image(place)
        height, width = self.size
        if len(pixels) != height or width not in (None, pixels.shape[1]):
            wanted, scale = (f"{height} rows", f"x{height}") if width is None else (f"{height} rows of {width}", f"{width}x{height}!")
            raise ValueError(
                f"{place} has {len(pixels)} rows of {pixels.shape[1]} pixels; expected {wanted}, as in training. "
                f"Scale it, for example with `magick FILE -resize {scale} OUT.png`."
            )
        if float(pixels.median()) > 0.5:
            log.warning(f"{place} is bright, and training showed bright digits on a dark ground. It is answered as it is; if its digits are dark, invert it.")
        return pixels

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        write_file_answers(self._read_files, [as_text(answer, self.joined) for answer in answers if answer is not None], output)
