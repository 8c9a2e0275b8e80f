"""Silero's voice activity model."""
