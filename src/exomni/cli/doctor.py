"""What is installed, cached or missing, which versions, and how quick this machine is."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

from ..assets.table import ASSETS, cache_folder, locate
from ..core.errors import AssetError

PACKAGES = ("exomni", "torch", "transformers", "onnxruntime", "hibari-tts", "openfacefx", "numpy", "av", "pyarrow",
            "distillmos", "faster-whisper")  # fmt: skip


def report() -> str:
    """All findings as lines of text."""
    machine = f"python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    folder = cache_folder()
    cache = f"cache {folder}: {_megabytes(p for p in folder.rglob('*') if p.is_file())}"
    return "\n".join([machine, "", *_packages(), "", *_assets(), "", cache, "", _speed()])


def _megabytes(files: Iterable[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.0f} MB"


def _packages() -> list[str]:
    lines = []
    for name in PACKAGES:
        try:
            lines.append(f"  {name:<18} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"  {name:<18} not installed")
    return ["packages", *lines]


def _assets() -> list[str]:
    lines = []
    for asset in ASSETS.values():
        try:
            state = f"ok ({_megabytes(locate(asset))}, {asset.licence})"
        except AssetError as error:
            state = f"MISSING: {error}"
        lines.append(f"  {asset.name:<24} {state}")
    weights = list((Path(__file__).parents[1] / "weights" / "nano").glob("*"))
    state = f"ok ({_megabytes(weights)})" if weights else "MISSING: reinstall exomni"
    return ["assets", *lines, f"  {'weights of nano':<24} {state}"]


def _speed() -> str:
    """A matrix product, as a figure to compare machines by."""
    import torch

    a = torch.randn(1024, 1024)
    a @ a
    began = time.perf_counter()
    for _ in range(10):
        a @ a
    seconds = (time.perf_counter() - began) / 10
    return f"speed {2 * 1024**3 / seconds / 1e9:.0f} GFLOP/s (float32, {torch.get_num_threads()} threads)"
