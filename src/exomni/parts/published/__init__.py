"""A published checkpoint, opened."""
