"""ONNX graphs on the CPU, opened alike wherever one is used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np


def open_session(graph: Path | bytes, n_threads: int = 1, settings: Mapping[str, str] | None = None) -> Any:
    """An ONNX Runtime session that says nothing but errors.

    Args:
        graph: a file, or a graph as bytes.
        n_threads: that work on one run.
        settings: entries of the session's configuration.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    options.log_severity_level = 3
    for name, value in (settings or {}).items():
        options.add_session_config_entry(name, value)
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class OnnxGraph:
    """A graph whose outputs are plain arrays; may be run from any thread.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path):
        self._session = open_session(path)

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs (None: all) for some inputs."""
        return cast("list[np.ndarray]", self._session.run(outputs, dict(inputs)))
