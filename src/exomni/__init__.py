"""exomni: a machine that answers with words, a voice and a living face.

from exomni import ExOmni

omni = ExOmni.load("nano")
omni.respond("What is the capital of France?").save("out")
"""

from importlib import import_module

__all__ = ["ExOmni", "ExomniError", "Reply", "load_published"]

_HOMES = {
    "ExOmni": "exomni.pipeline.exomni",
    "ExomniError": "exomni.core.errors",
    "Reply": "exomni.pipeline.results",
    "load_published": "exomni.parts.published.checkpoint",
}


def __getattr__(name: str):
    """Public names are imported when they are first used, so that `import exomni` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'exomni' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
