"""The one table of file formats: how each is written and, if it can be, read. A new format is a new row here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from . import a2f, audio_files, captions, engines, gltf, livelink_csv, plot, simple_characters, tables, vrma
from .reading import Reading, read_bytes
from .shipped_heads import PLAIN
from .track import FaceTrack

TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Options:
    """What some formats need to know of the character.

    Attributes:
        head: a name in `shipped_heads.HEADS`, or a `.glb`, `.gltf` or `.vrm`, to animate or film; without it, the
            plain head is animated and the woman filmed.
        mesh: where the face mesh is in the scene: Unity's path from the Animator, Godot's node path.
        casing: how a perfect-sync avatar spells its expressions, `camel` or `pascal`.
    """

    head: str | Path | None = None
    mesh: str = "Head"
    casing: str = "camel"

    def __post_init__(self) -> None:
        """Raise InputError for a casing that is not in `vrma.CASINGS`."""
        if self.casing not in vrma.CASINGS:
            raise InputError(f"no casing '{self.casing}'; there are {', '.join(vrma.CASINGS)}")


@dataclass(frozen=True)
class Format:
    """One way to write, and perhaps read, a face. A new format is a file with its writer and a row of `_TABLE`.

    Attributes:
        name: as in `--to`.
        suffix: of its files.
        what: what it is and which programs read it.
        write: writes a track to a path and returns notes, if there are any.
        read: reads a path, given a frame rate and an order of columns or None for both; None where a face cannot
            be had back.
        reads: suffixes of the files that `read` is for.
        recognises: whether a file with such a suffix is of this format; the first in the table that says yes reads it.
    """

    name: str
    suffix: str
    what: str
    write: Callable[[FaceTrack, Path, Options], Sequence[str] | None]
    read: Callable[[Path, Any, str | None], Reading] | None = None
    reads: tuple[str, ...] = ()
    recognises: Callable[[Path], bool] = lambda path: True


def _film(track: FaceTrack, path: Path, options: Options) -> Sequence[str]:
    from .video import FILMED, render

    return render(track, path, head=options.head or FILMED).notes


_TABLE = (
    Format(
        "livelink-csv", ".livelink.csv", "Live Link Face recording: Faceit for Blender, MotionBuilder, Maya scripts",
        lambda t, p, o: livelink_csv.write_livelink_csv(t, p),
        lambda p, fps, order: livelink_csv.read_livelink_csv(p, fps), TABLES, livelink_csv.is_livelink_csv,
    ),
    Format(
        "a2f", ".a2f.json", "Audio2Face blendshape weights: Omniverse, Blender and Maya add-ons",
        lambda t, p, o: a2f.write_a2f(t, p),
        lambda p, fps, order: a2f.read_a2f(p, fps), (".json",),
    ),
    Format(
        "glb", ".glb", "glTF head with morph animation, audio beside: three.js, Blender, Godot, Unity",
        lambda t, p, o: gltf.write_glb(t, p, o.head or PLAIN),
        lambda p, fps, order: gltf.read_gltf(p, fps), (".glb", ".gltf", ".vrm"),
    ),
    Format(
        "vrma", ".vrma", "VRM animation of vowels and blinks: any VRM avatar",
        lambda t, p, o: vrma.write_vrma(t, p),
    ),
    Format(
        "vrma-perfect-sync", ".perfect-sync.vrma", "VRM animation of all 52: VRM avatars with perfect sync",
        lambda t, p, o: vrma.write_vrma_perfect_sync(t, p, o.casing),
    ),
    Format("unity", ".anim", "Unity AnimationClip", lambda t, p, o: engines.write_unity(t, p, o.mesh)),
    Format("godot", ".tres", "Godot 4 Animation", lambda t, p, o: engines.write_godot(t, p, o.mesh)),
    Format(
        "live2d", ".motion3.json", "Live2D Cubism motion: VTube Studio, Cubism SDK",
        lambda t, p, o: simple_characters.write_live2d(t, p),
    ),
    Format("vmd", ".vmd", "MikuMikuDance motion", lambda t, p, o: simple_characters.write_vmd(t, p)),
    Format(
        "rhubarb", ".rhubarb.tsv", "Rhubarb mouth cues, tab-separated: drawn animation, After Effects, Moho",
        lambda t, p, o: simple_characters.write_rhubarb(t, p, "tsv"),
    ),
    Format(
        "rhubarb-xml", ".rhubarb.xml", "Rhubarb mouth cues, XML",
        lambda t, p, o: simple_characters.write_rhubarb(t, p, "xml"),
    ),
    Format(
        "rhubarb-json", ".rhubarb.json", "Rhubarb mouth cues, JSON",
        lambda t, p, o: simple_characters.write_rhubarb(t, p, "json"),
    ),
    Format("srt", ".srt", "SubRip captions", lambda t, p, o: captions.write_captions(t, p, "srt")),
    Format("vtt", ".vtt", "WebVTT captions", lambda t, p, o: captions.write_captions(t, p, "vtt")),
    Format(
        "csv", ".csv", "coefficients, one row a frame: spreadsheets",
        lambda t, p, o: tables.write_csv(t, p), tables.read_csv, TABLES,
    ),
    Format(
        "parquet", ".parquet", "coefficients with types and frame rate: pandas, Polars, DuckDB",
        lambda t, p, o: tables.write_parquet(t, p),
        lambda p, fps, order: tables.read_parquet(p, fps), (".parquet",),
    ),
    Format(
        "npz", ".npz", "coefficients, rotations, audio: NumPy",
        lambda t, p, o: tables.write_npz(t, p), tables.read_npz, (".npz", ".npy"),
    ),
    Format("plot", ".png", "picture of the curves", lambda t, p, o: plot.write_plot(t, p)),
    Format("wav", ".wav", "the audio alone", lambda t, p, o: audio_files.write_wav(t, p)),
    Format("mp4", ".mp4", "film of the head with sound, H.264 and AAC", _film),
    Format("webm", ".webm", "film of the head with sound, VP9 and Opus", _film),
    Format("gif", ".gif", "moving picture of the head, small and silent", _film),
    Format("sheet", ".sheet.png", "pictures of the head at moments of the animation", _film),
)  # fmt: skip

FORMATS: dict[str, Format] = {row.name: row for row in _TABLE}


def find(name: str) -> Format:
    """The format of that name.

    Raises:
        InputError: there is none; the message lists what there is.
    """
    if name not in FORMATS:
        raise InputError(f"no format '{name}'; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def guess(path: Path) -> Format:
    """The format that a file name asks for: that with the longest suffix that fits.

    Raises:
        InputError: there is none.
    """
    fits = [row for row in _TABLE if path.name.lower().endswith(row.suffix)]
    if not fits:
        raise InputError(f"{path}: no format writes '{path.suffix}' files; name one with FORMAT=PATH")
    return max(fits, key=lambda row: len(row.suffix))


def read_file(path: Path, fps: Any, order: str | None) -> Reading:
    """Read a face from a file of any format that can be read.

    Args:
        fps: frames a second, over what the file says.
        order: of the columns, for tables without names.
    Raises:
        InputError: it cannot be read, or no format reads such files.
        FormatError: it does not follow its format.
    """
    suffix = path.suffix.lower()
    for row in _TABLE:
        if row.read is not None and suffix in row.reads and row.recognises(path):
            return row.read(path, fps, order)
    read_bytes(path)
    readable = dict.fromkeys(row.reads[0] for row in _TABLE if row.reads)
    raise InputError(f"{path}: no face is read from '{suffix}' files, only from {' '.join(readable)}")
