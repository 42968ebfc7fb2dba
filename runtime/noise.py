"""Sums over the values of a tensor in two files, chunk by chunk, from which ratios are made. Pure numpy."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WEAK = 0.1  # noise a tenth of the signal, 10 dB: three bits are left
_DEAD = 1e-10  # of the strongest channel's signal: a channel with less never speaks, and noise in it is not heard


@dataclass(frozen=True)
class Grid:
    """The values that a quantized tensor can hold: `scale * (q - zero_point)`, q of an integer dtype."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest real value."""
        info = np.iinfo(self.dtype)
        return (info.min - self.zero_point) * self.scale, (info.max - self.zero_point) * self.scale

    def round(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the nearest values of the grid, same shape."""
        low, high = self.limits
        rounded: NDArray[np.float32] = np.clip(np.rint(values / self.scale) * self.scale, low, high)
        return rounded.astype(np.float32)


def to_db(ratio: float) -> float:
    """Returns a noise-to-signal power ratio as signal-to-noise in dB; infinite where there is no noise."""
    return -10 * math.log10(ratio) if ratio > 0 else math.inf


def snr_db(exact: NDArray[np.float32], noisy: NDArray[np.float32]) -> float:
    """Returns the signal-to-noise ratio, in dB, of values beside the exact ones of the same shape."""
    noise = Noise(None, -1)
    noise.add(exact, noisy)
    return to_db(noise.ratio)


class Noise:
    """What quantization did to one tensor.

    Attributes:
        grid: What the tensor can hold; None where it is float.
        count: Values seen.
        signal: Sum of the float file's values squared.
        noise: Sum of the differences squared.
        error: Sum of the differences' magnitudes.
        max_error: The largest of them.
        saturated: How many values are at an end of the grid and should be beyond it by more than one step.
    """

    def __init__(self, grid: Grid | None, channel_axis: int) -> None:
        """Starts at zero.

        Args:
            grid: What the tensor can hold; None where it is float.
            channel_axis: Which dimension the channels are counted along.
        """
        self.grid = grid
        self._axis = channel_axis
        self.count = 0
        self.error = self.max_error = 0.0
        self.saturated = 0
        self._grid_noise = self._clip_noise = 0.0
        self._low, self._high = math.inf, -math.inf
        self._signals = self._noises = self._peaks = np.zeros(0)

    def add(self, exact: NDArray[np.float32], noisy: NDArray[np.float32]) -> None:
        """Takes one chunk of the tensor's values: the float file's and the quantized file's, of one shape."""
        if not exact.size:
            return
        difference = np.abs(exact - noisy)
        self.count += exact.size
        self.error += float(difference.sum(dtype=np.float64))
        self.max_error = max(self.max_error, float(difference.max()))
        self._low, self._high = min(self._low, float(exact.min())), max(self._high, float(exact.max()))
        rows, differences = self._by_channel(exact), self._by_channel(difference)
        if not len(self._signals):
            self._signals, self._noises, self._peaks = (np.zeros(rows.shape[1]) for _ in range(3))
        self._signals += np.einsum("nc,nc->c", rows, rows, dtype=np.float64)
        self._noises += np.einsum("nc,nc->c", differences, differences, dtype=np.float64)
        self._peaks = np.maximum(self._peaks, np.abs(rows).max(axis=0))
        if self.grid is not None:
            self._add_grid(self.grid, exact, noisy)

    def _add_grid(self, grid: Grid, exact: NDArray[np.float32], noisy: NDArray[np.float32]) -> None:
        low, high = grid.limits
        lost = np.square(exact - grid.round(exact), dtype=np.float64)
        beyond = (exact < low - grid.scale) | (exact > high + grid.scale)
        half = grid.scale / 2
        clipped = beyond & ((noisy < low + half) | (noisy > high - half))
        lost[beyond & ~clipped] = 0  # what a layer before has made so small that it never meets the range's end
        self._grid_noise += float(lost.sum())
        self._clip_noise += float(lost[clipped].sum())
        self.saturated += int(clipped.sum())

    def _by_channel(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns (values of a channel, channels); what has no channels is one."""
        if values.ndim < 2:
            return values.reshape(-1, 1)
        return np.moveaxis(values, self._axis, -1).reshape(-1, values.shape[self._axis])

    @property
    def signal(self) -> float:
        """Sum of the float file's values squared."""
        return float(self._signals.sum())

    @property
    def noise(self) -> float:
        """Sum of the differences squared."""
        return float(self._noises.sum())

    @property
    def ratio(self) -> float:
        """Noise as a multiple of the signal, in power."""
        return _ratio(self.noise, self.signal)

    @property
    def grid_ratio(self) -> float:
        """The same, of rounding the float file's values to the grid."""
        return _ratio(self._grid_noise, self.signal)

    @property
    def clip_ratio(self) -> float:
        """The part of `grid_ratio` that values beyond the grid's range make."""
        return _ratio(self._clip_noise, self.signal)

    def range_used(self) -> float:
        """Returns how much of the grid's range the float file's values take up; beyond 1 where some lie outside."""
        if self.grid is None:
            return math.nan
        low, high = self.grid.limits
        return (self._high - self._low) / (high - low)

    def weak_channels(self) -> float:
        """Returns the share of channels with more than a tenth of their own signal in noise, dead ones aside."""
        alive = self._alive()
        weak = self._noises[alive] > _WEAK * self._signals[alive]
        return float(weak.mean()) if weak.size else 0.0

    def channel_spread(self) -> float:
        """Returns the largest channel's peak as a multiple of the smallest's, dead ones aside."""
        peaks = self._peaks[self._alive()]
        return float(peaks.max() / peaks.min()) if peaks.size else 1.0

    def _alive(self) -> NDArray[np.bool_]:
        alive: NDArray[np.bool_] = self._signals > _DEAD * self._signals.max(initial=0.0)
        return alive


def _ratio(noise: float, signal: float) -> float:
    if signal == 0:
        return math.inf if noise else 0.0
    return noise / signal
