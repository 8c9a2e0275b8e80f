"""A head to measure and show faces on: mesh, lip measures, and the one renderer. No torch, no GPU."""

from .camera import HEAD_VIEW, MOUTH_VIEW, View
from .head import Head
from .measures import (
    inner_lip_gap_mm,
    lip_aperture_mm,
    lip_protrusion_mm,
    lip_teeth_gap_mm,
    lip_vertex_error_mm,
    lip_width_mm,
)
from .pictures import contact_sheet, render

__all__ = [
    "HEAD_VIEW",
    "MOUTH_VIEW",
    "Head",
    "View",
    "contact_sheet",
    "inner_lip_gap_mm",
    "lip_aperture_mm",
    "lip_protrusion_mm",
    "lip_teeth_gap_mm",
    "lip_vertex_error_mm",
    "lip_width_mm",
    "render",
]
