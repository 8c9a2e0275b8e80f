"""Held-out evaluation: does it say the words, does the face fit them, is it quick; with a cascade beside it."""

from .suites import SUITES, run
from .systems import SYSTEMS, build_system

__all__ = ["SUITES", "SYSTEMS", "build_system", "run"]
