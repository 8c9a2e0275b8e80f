"""Training: one loop, a table of stages, and the losses."""
