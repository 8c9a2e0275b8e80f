"""A data set of a few seconds, written with the store as the builder does."""

import numpy as np
import pytest

from exomni.core.timebase import UNIT_HZ, VOCODER_HZ, rescale_floor, units_to_frames
from exomni.data.store import write_shard
from exomni.model.duration_pace import ticks_to_units

N_ROWS = {"train": 10, "validation": 3, "test": 2}
D_LLM, D_FEATURES, N_UNITS = 24, 4 * 64, 36


def make_row(rng: np.random.Generator, name: str, split: str, disguised: bool) -> dict[str, dict]:
    """One row of each pass; the sounds follow from the phonemes, so that there is something to learn."""
    phonemes = np.array([0, *rng.integers(1, 12, rng.integers(6, 20)), 0], np.int16)
    ticks = (2 + phonemes % 5).astype(np.int16)
    n_units = ticks_to_units(int(ticks.sum()))
    sound = np.repeat(phonemes, ticks)[np.minimum(np.arange(n_units) * 16 // 5, ticks.sum() - 1)]
    n_acoustic = rescale_floor(n_units, UNIT_HZ, VOCODER_HZ)
    at_acoustic = sound[np.minimum(np.arange(n_acoustic) * 5 // 32, n_units - 1)]
    table = np.random.default_rng(0)
    features, acoustic, face = (table.standard_normal((12, n)) for n in (D_FEATURES, 130, 52))
    n_frames = units_to_frames(n_units)
    at_frames = sound[np.minimum(np.arange(n_frames) * 5 // 12, n_units - 1)]
    return {
        "texts": {"id": name, "text": f"text of {name}", "prompt": "", "source": "t", "split": split},
        "speech": {
            "id": name, "text": f"text of {name}", "prompt": "", "source": "t", "split": split, "phonemes": phonemes,
            "ticks": ticks, "disguised": disguised, "seconds": n_units * 0.08,
            "acoustic": acoustic[at_acoustic].T.astype(np.float16), "speech": b"",
        },
        "features": {"id": name, "features": features[sound].astype(np.float16)},
        "units": {"id": name, "units": (sound * 3).astype(np.int16)},
        "hidden": {"id": name, "hidden": rng.standard_normal((max(1, len(phonemes) // 3), D_LLM)).astype(np.float16)},
        "faces": {
            "id": name, "blendshapes": (0.5 + 0.2 * face[at_frames]).clip(0, 1).astype(np.float16),
            "emotion": rng.uniform(0, 1, 5).astype(np.float32),
        },
        "posed": {
            "id": name, "blendshapes": (0.5 + 0.1 * face[at_frames]).clip(0, 1).astype(np.float16),
            "emotion": rng.uniform(0, 1, 5).astype(np.float32),
        },
    }  # fmt: skip


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A folder with every pass: two shards, three splits, one disguised row in each split."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for shard in range(2):
        rows = []
        for split, n_rows in N_ROWS.items():
            for i in range(n_rows + 1):
                rows.append(make_row(rng, f"{split}-{shard}-{i}", split, disguised=i == n_rows))
        for name in rows[0]:
            kept = [r[name] for r in rows if name not in ("faces", "posed") or not r["speech"]["disguised"]]
            write_shard(folder / name / f"t-{shard:04d}.parquet", kept, {})
    return folder


@pytest.fixture(scope="session")
def hearing_data(tiny_data, tmp_path_factory):
    """A data set of many voices beside that of the one voice: every text has a sound of its own."""
    import shutil

    folder = tmp_path_factory.mktemp("hearing")
    shutil.copytree(tiny_data, folder / "nano")
    table, rng = np.random.default_rng(1).standard_normal((4, 64)), np.random.default_rng(2)
    words = ("yes", "no", "tea", "sun")
    rows = []
    for i in range(24):
        picked = rng.integers(4, size=3)
        features = np.repeat(table[picked], 15, 0) + 0.1 * rng.standard_normal((45, 64))
        rows.append({
            "id": str(i), "text": " ".join(words[k] for k in picked), "reply": "sun" if i % 2 else "", "voice": "a:b",
            "group": "a", "split": "validation" if i < 4 else "train", "snr_db": 99.0,
            "features": features.astype(np.float16),
        })  # fmt: skip
    write_shard(folder / "hearing" / "heard" / "0000.parquet", rows, {})
    return folder / "hearing"
