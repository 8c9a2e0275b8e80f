"""Face animations as files: read from many formats, fitted to a character, written to many formats."""

from .exporting import Export, export
from .face_sources import load
from .formats import FORMATS, Options
from .inspection import Inspection, inspect
from .profile import Profile, load_profile, save_profile
from .reading import Reading
from .retarget import retarget
from .track import FaceTrack, Word

__all__ = [
    "FORMATS",
    "Export",
    "FaceTrack",
    "Inspection",
    "Options",
    "Profile",
    "Reading",
    "Word",
    "export",
    "inspect",
    "load",
    "load_profile",
    "retarget",
    "save_profile",
]
