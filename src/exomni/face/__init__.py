"""A head to measure and show faces on: mesh, lip measures, and the one renderer. No torch, no GPU."""
