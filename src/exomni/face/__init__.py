"""A head to measure and show faces on: mesh, lip measures, renderer. No torch, no GPU."""

from .head import Head
from .measures import (
    inner_lip_gap_mm,
    lip_aperture_mm,
    lip_protrusion_mm,
    lip_teeth_gap_mm,
    lip_vertex_error_mm,
    lip_width_mm,
)
from .render import HEAD_VIEW, MOUTH_VIEW, View, render
from .sheet import contact_sheet

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
