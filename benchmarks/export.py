"""How long each export takes, beside openfacefx's writer of the same format where it has one.

    python benchmarks/export.py [SOURCE] [--minutes 10] [--json FILE]

SOURCE is anything that `exomni export` takes; without it, a made-up talking face. Both sides get the same face
in their own form, made beforehand: frames for exomni, keys for openfacefx. Its writers of Unity, Godot, VRM,
Live2D, MikuMikuDance and Rhubarb files take its 15 visemes, so the curves that each wrote stand beside the times.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openfacefx

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ
from exomni.export import FORMATS, FaceTrack, Options, load

SPEECH = ("jaw", "mouth", "tongue", "eyeBlink", "browInner")
THEIRS: Mapping[str, tuple[str, Callable]] = {
    "livelink-csv": ("arkit", lambda t, p: openfacefx.write_livelink_csv(t, p, fps=t.fps)),
    "a2f": ("arkit", openfacefx.write_a2f),
    "glb": ("arkit", openfacefx.write_gltf),
    "vrma": ("visemes", openfacefx.write_vrma),
    "unity": ("visemes", openfacefx.write_unity_anim),
    "godot": ("visemes", openfacefx.write_godot_anim),
    "live2d": ("visemes", openfacefx.write_live2d_motion),
    "vmd": ("visemes", openfacefx.write_vmd),
    "rhubarb": ("visemes", openfacefx.write_rhubarb_tsv),
    "rhubarb-xml": ("visemes", openfacefx.write_rhubarb_xml),
    "rhubarb-json": ("visemes", openfacefx.write_rhubarb_json),
    "csv": ("arkit", openfacefx.write_csv),
}
"""Format, the names that openfacefx's writer takes, and the writer."""
FILMS = ("mp4", "webm", "gif", "sheet")
"""`export_film.py` measures these."""


def made_up(minutes: float) -> FaceTrack:
    """Syllables at four a second on the shapes that speech moves, pauses, and a tone."""
    n_frames = int(minutes * 60 * FRAME_HZ)
    rng = np.random.default_rng(0)
    times_s = np.arange(n_frames) / FRAME_HZ
    frames = np.zeros((n_frames, arkit.K))
    talking = np.convolve(rng.random(n_frames) < 0.01, np.ones(60), "same") > 0
    for i, name in enumerate(arkit.NAMES):
        if name.startswith(SPEECH):
            wobble = np.sin(2 * np.pi * (4 + rng.normal(0, 0.4)) * times_s + rng.uniform(0, 6))
            frames[:, i] = np.clip(0.3 * wobble * rng.uniform(0, 1) * talking, 0, 1)
    samples = 0.1 * np.sin(np.arange(n_frames * SAMPLE_HZ // FRAME_HZ) * 0.06)
    text = "The quick brown fox jumps over the lazy dog. " * int(minutes * 15)
    return FaceTrack(arkit.NAMES, FRAME_HZ, frames, audio=samples, sample_hz=SAMPLE_HZ, text=text)


def key_track(names: tuple[str, ...], columns: np.ndarray, track: FaceTrack) -> "openfacefx.FaceTrack":
    """The same motion as openfacefx holds it."""
    times = track.times_s.tolist()
    channels = [
        openfacefx.Channel(name, [openfacefx.Keyframe(t, v) for t, v in zip(times, column, strict=True)])
        for name, column in zip(names, columns.T.tolist(), strict=True)
    ]
    return openfacefx.FaceTrack(float(track.fps), channels, list(names))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the quickest of some runs, so that what else the machine does is not counted."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def measure(track: FaceTrack, repeats: int) -> list[dict[str, object]]:
    """One row a format: seconds, bytes and curves of ours and theirs."""
    visemes = np.stack([track.column(name) for name in arkit.MOUTH[: len(openfacefx.VISEMES)]], axis=1)
    sources = {
        "arkit": key_track(track.names, track.frames, track),
        "visemes": key_track(tuple(openfacefx.VISEMES), visemes, track),
    }
    rows = []
    wanted = [row for row in FORMATS.values() if row.name not in FILMS]
    with tempfile.TemporaryDirectory() as folder:
        for row in wanted:
            path = Path(folder) / f"ours{row.suffix}"
            ours_s = seconds(lambda row=row, path=path: row.write(track, path, Options()), repeats)
            entry = {"format": row.name, "ours_s": ours_s, "ours_bytes": path.stat().st_size}
            if row.name in THEIRS:
                names, write = THEIRS[row.name]
                other = Path(folder) / f"theirs{row.suffix}"
                source = sources[names]
                entry["theirs_s"] = seconds(lambda w=write, s=source, p=other: w(s, str(p)), repeats)
                entry |= {"theirs_bytes": other.stat().st_size, "theirs_curves": len(source.channels)}
            rows.append(entry)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    track = load(options.source).track if options.source else made_up(options.minutes)
    rows = measure(track, options.repeats)
    print(f"{track.n_frames} frames, {float(track.duration_s):.0f} s, {len(track.names)} shapes")
    print(f"{'format':18} {'exomni':>9} {'size':>9}   {'openfacefx':>10} {'size':>9} {'curves':>7}")
    for row in rows:
        line = f"{row['format']:18} {row['ours_s']:8.2f}s {row['ours_bytes'] / 1e6:7.2f}MB"
        if "theirs_s" in row:
            line += f"   {row['theirs_s']:9.2f}s {row['theirs_bytes'] / 1e6:7.2f}MB {row['theirs_curves']:7}"
        print(line)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
