"""Sound as loudness in bands of pitch. Dimension key: B batch, T samples, F frames, N samples of a window, M bands."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.features import moments


class LogMel(Frontend):
    """Samples (B, T) -> log Σ_k filter_mk |X_fk|² + ε for frames f and bands m: (B, ⌈T / hop⌉, M).

    X_f is the discrete Fourier transform of the samples f·hop … f·hop + window − 1 under a Hann window; what lies past a
    row's end is silence. filter_m is a triangle over frequency with its top 1 at the m-th of M + 2 points that are equally
    far apart in mel(f) = 2595 log₁₀(1 + f / 700), from 0 to half the sampling rate, and 0 at the points beside it.
    normalise: each band to mean 0 and deviation 1, measured on the training split alone and kept in the checkpoint.
    Source: S. Davis and P. Mermelstein, 1980, "Comparison of parametric representations for monosyllabic word recognition
    in continuously spoken sentences"; the mel scale as D. O'Shaughnessy, 1987, writes it. Same as torchaudio's MelSpectrogram
    with center=False, mel_scale="htk", norm=None, under log(· + ε), but that the last frames are filled up with silence.
    """

    reads = "audio"
    mixes_steps = True  # a frame reaches over the next ones' beginnings
    mean: Tensor
    deviation: Tensor
    filters: Tensor
    shape: Tensor

    def __init__(
        self,
        input_size: int,
        sampling_rate: int,
        num_mels: int = 40,
        window: float = 0.025,
        hop: float = 0.01,
        normalise: bool = True,
        floor: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        """window, hop: in seconds. floor: ε, the power below which sound is silence; samples lie in −1..1."""
        super().__init__()
        if input_size != 1:
            raise ValueError(f"input_size is {input_size}; expected 1, a single channel.")
        self.window, self.hop = round(window * sampling_rate), round(hop * sampling_rate)
        if not 1 <= self.hop <= self.window or self.window < 2:
            raise ValueError(
                f"frontend window is {window} s and hop {hop} s, {self.window} and {self.hop} samples at {sampling_rate} Hz; expected 1 <= hop <= window "
                "and a window of at least 2 samples."
            )
        if floor <= 0:
            raise ValueError(f"frontend floor is {floor}; expected a power above 0.")
        self.sampling_rate, self.floor, self.normalise = sampling_rate, floor, normalise
        self.transform_size = 2 ** math.ceil(math.log2(self.window))  # fast, and fine enough for the lowest bands
        self.output_size = num_mels
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.register_buffer("filters", mel_filters(num_mels, self.transform_size // 2 + 1, sampling_rate), persistent=False)
        self.register_buffer("shape", torch.hann_window(self.window), persistent=False)
        if normalise:
            self.register_buffer("mean", torch.zeros(num_mels))
            self.register_buffer("deviation", torch.ones(num_mels))

    def prepare(self, data: Any) -> None:
        if self.normalise:
            mean, deviation = moments(self._heard(batch.inputs, batch.lengths) for batch in data.train_dataloader())
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)

    def _heard(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.bands(inputs, lengths), None if lengths is None else self.output_lengths(lengths)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.bands(inputs, lengths)
        return self.dropout((x - self.mean) / self.deviation if self.normalise else x)

    def bands(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, F, M), before any normalisation. Computed in float32 at least: in float16 the power of loud sound has no room."""
        if torch.is_autocast_enabled(inputs.device.type):
            with torch.autocast(inputs.device.type, enabled=False):
                return self.bands(inputs, lengths)
        kept = torch.promote_types(self.shape.dtype, torch.float32)
        x = inputs.to(kept)
        if lengths is not None:
            x = torch.where(lengths_to_mask(lengths, x.shape[1]), x, 0.0)
        frames = -(-x.shape[1] // self.hop)
        # torch centres a short window in the transform: what it puts before the window comes out here as well
        before = (self.transform_size - self.window) // 2
        x = nn.functional.pad(x, (before, (frames - 1) * self.hop + self.transform_size - before - x.shape[1]))
        spectrum = torch.stft(x, self.transform_size, self.hop, self.window, self.shape.to(kept), center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power.transpose(1, 2) @ self.filters.to(kept) + self.floor).log().to(self.shape.dtype)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return -(-lengths // self.hop)

    def extra_repr(self) -> str:
        return f"sampling_rate={self.sampling_rate}, window={self.window}, hop={self.hop}, num_mels={self.output_size}, normalise={self.normalise}"


def mel_filters(num_mels: int, num_frequencies: int, sampling_rate: int) -> Tensor:
    """(frequencies from 0 to half the sampling rate, M). Raises ValueError when a band lies between two frequencies and hears nothing."""
    if num_mels < 1:
        raise ValueError(f"frontend num_mels is {num_mels}; expected at least 1.")
    highest = 2595 * math.log10(1 + sampling_rate / 2 / 700)
    points = 700 * (10 ** (torch.linspace(0, highest, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    frequencies = torch.linspace(0, sampling_rate / 2, num_frequencies, dtype=torch.float64)[:, None]
    low, top, high = points[:-2], points[1:-1], points[2:]
    filters = torch.minimum((frequencies - low) / (top - low), (high - frequencies) / (high - top)).clamp(min=0)
    deaf = (filters.sum(0) == 0).nonzero()
    if len(deaf):
        raise ValueError(
            f"frontend num_mels is {num_mels}: band {int(deaf[0])} lies between two of the {num_frequencies} frequencies at {sampling_rate} Hz "
            "and hears nothing; expected every band to hold one. Give fewer bands, or a longer frontend.window."
        )
    return filters.to(torch.get_default_dtype())
