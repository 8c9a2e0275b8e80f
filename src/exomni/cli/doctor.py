"""What is installed, cached or missing, which versions, and how quick this machine is."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path

from ..assets.table import ASSETS, cache_folder, locate
from ..core.errors import AssetError

PACKAGES = ("exomni", "torch", "transformers", "onnxruntime", "hibari-tts", "openfacefx", "numpy", "av", "pyarrow",
            "distillmos", "faster-whisper")  # fmt: skip


def report() -> str:
    """All findings as lines of text."""
    return "\n".join([*_machine(), "", *_packages(), "", *_assets(), "", *_cache(), "", *_speed()])


def _machine() -> list[str]:
    return [f"python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"]


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
            paths = locate(asset)
            state = f"ok ({sum(p.stat().st_size for p in paths) / 1e6:.0f} MB, {asset.licence})"
        except AssetError as error:
            state = f"MISSING: {error}"
        lines.append(f"  {asset.name:<24} {state}")
    weights = Path(__file__).parents[1] / "weights" / "nano"
    size = sum(p.stat().st_size for p in weights.glob("*")) if weights.is_dir() else 0
    lines.append(f"  {'weights of nano':<24} " + (f"ok ({size / 1e6:.0f} MB)" if size else "MISSING: reinstall exomni"))
    return ["assets", *lines]


def _cache() -> list[str]:
    folder = cache_folder()
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0
    return [f"cache {folder}: {size / 1e6:.0f} MB"]


def _speed() -> list[str]:
    """A matrix product, as a figure to compare machines by."""
    import torch

    a = torch.randn(1024, 1024)
    a @ a
    began = time.perf_counter()
    for _ in range(10):
        a @ a
    seconds = (time.perf_counter() - began) / 10
    return [f"speed {2 * 1024**3 / seconds / 1e9:.0f} GFLOP/s (float32, {torch.get_num_threads()} threads)"]
