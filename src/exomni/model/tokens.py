"""Ids with a meaning of their own."""

IGNORE_INDEX = -100
"""Marks padding in sequences of ids and labels; no loss is taken there."""
SPEECH_MARKER = -300
"""Stands for a clip of speech among token ids; replaced by the projected clip, never embedded."""
