"""Silero's voice activity model."""

from functools import cache

from ..loading import Parts
from .vad import SileroVoiceActivity


@cache
def _shared() -> SileroVoiceActivity:
    from ...assets.table import ASSETS, locate

    return SileroVoiceActivity(locate(ASSETS["silero-vad"])[0])


def build_voice_activity(parts: Parts) -> SileroVoiceActivity:
    """The installed network, loaded once for all models. Raises AssetError where it is not installed."""
    return _shared()
