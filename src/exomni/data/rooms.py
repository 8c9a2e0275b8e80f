"""Makes clean speech sound as through a microphone: another pitch, a room, noise, level, clipping."""

import numpy as np

NOISES = ("white", "coloured", "hum", "voices")
HUM_HZ = (50.0, 60.0)


def shifted(samples: np.ndarray, factor: float) -> np.ndarray:
    """Pitch and formants raised by `factor` (lowered below 1), and the speech as much faster."""
    import soxr

    return np.asarray(soxr.resample(samples, 16_000 * factor, 16_000), np.float32)


def in_room(
    samples: np.ndarray, rate: int, rng: np.random.Generator,
    longest_s: float = 0.3, loudest: float = 0.07, colour: tuple[float, float] = (-0.6, 0.5),
) -> np.ndarray:  # fmt: skip
    """Echo (at most so long and so loud) and colour of a room and a microphone, drawn at random."""
    from scipy.signal import fftconvolve, lfilter

    n_echo = int(rate * rng.uniform(0.02, longest_s))
    echo = rng.standard_normal(n_echo) * np.exp(-6.0 * np.arange(n_echo) / n_echo) * rng.uniform(0.0, loudest)
    echo[0] = 1.0
    wet = fftconvolve(samples, echo)[: len(samples)]
    return np.asarray(lfilter([1.0, rng.uniform(*colour)], [1.0], wet))


def with_noise(
    samples: np.ndarray, rate: int, snr_db: float, kind: str, rng: np.random.Generator, others: list[np.ndarray]
) -> np.ndarray:
    """Speech, float32 [N], with noise of a kind of `NOISES` at a ratio of powers.

    "voices" is mixed from the clips of `others`; without any it is coloured noise.
    """
    noise = _noise(len(samples), rate, kind, rng, others)
    power = np.mean(np.square(samples)) + 1e-12
    gain = np.sqrt(power / (np.mean(np.square(noise)) + 1e-12) / 10 ** (snr_db / 10))
    return (samples + gain * noise).astype(np.float32)


def _noise(n: int, rate: int, kind: str, rng: np.random.Generator, others: list[np.ndarray]) -> np.ndarray:
    from scipy.signal import lfilter

    white = rng.standard_normal(n)
    if kind == "white":
        return white
    if kind == "hum":
        times = np.arange(n) / rate
        base = rng.choice(HUM_HZ)
        return sum(np.sin(2 * np.pi * base * k * times + rng.uniform(0, 6.28)) / k for k in range(1, 9)) + 0.1 * white
    if kind == "voices" and others:
        mixed = np.zeros(n)
        for i in rng.integers(len(others), size=5):
            mixed += np.roll(np.resize(others[i] / (np.std(others[i]) + 1e-6), n), int(rng.integers(n)))
        return mixed
    return np.asarray(lfilter([1.0], [1.0, -rng.uniform(0.5, 0.97)], white))


def at_level(samples: np.ndarray, peak: float) -> np.ndarray:
    """Scaled so that the loudest sample is `peak`; above 1 it clips."""
    return np.clip(samples * (peak / (np.abs(samples).max() + 1e-9)), -1.0, 1.0).astype(np.float32)
