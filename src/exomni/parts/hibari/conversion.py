"""The voice as its parts read it: its graph in two halves, cut once and cached."""

from pathlib import Path

from ...assets.table import Converted


def _build_voice(folder: Path, sources: dict[str, list[Path]]) -> None:
    from .voice import cut_graph

    cut_graph(sources["hibari-heart"][0], folder / "front.onnx", folder / "back.onnx")


VOICE = Converted("voice", 1, ("hibari-heart",), _build_voice)
