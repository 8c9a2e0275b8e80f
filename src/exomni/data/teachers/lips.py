"""Contacts that must happen: lips that meet for p b m, the lower lip on the upper teeth for f v.

Curves alone do not make contacts; these are solved on the mesh of `exomni.face`, frame by frame.
"""

import numpy as np

from ...core.arkit import INDEX, K
from ...core.timebase import FRAME_HZ
from ...face.measures import lip_aperture_mm, lip_teeth_gap_mm
from .poses import CLOSED, LIP_ON_TEETH
from .timing import Phone

ATTACK_FRAMES, RELEASE_FRAMES = 2.0, 1.5
"""How long the lips take to reach a contact and to leave it."""
SLACK_S = 0.008
"""A frame whose middle misses the consonant by no more than this counts as inside."""
LONGEST_S = 0.110
"""p b before a pause part after this; only m may hum on."""
CLOSED_MM = -0.6
"""Height between the lips in a closure: pressed a little into each other, as flesh is."""
JAW_IN_CLOSURE = 0.10
MM_PER_MOUTH_CLOSE = 33.0
"""What `mouthClose` lowers the lips' height by, at 1."""


def contact_envelope(phones: list[Phone], which: frozenset[str], n_frames: int) -> np.ndarray:
    """How far each frame is into a contact, float [T_frame] in 0..1: 1 in it, 0 far from it.

    Every contact fills the frames whose middles lie inside the consonant, and two at least.
    """
    envelope = np.zeros(n_frames)
    frames = np.arange(n_frames)
    for i, phone in enumerate(phones):
        if phone.symbol not in which or n_frames == 0:
            continue
        before_pause = i + 1 < len(phones) and phones[i + 1].symbol == ""
        end_s = min(phone.end_s, phone.start_s + LONGEST_S) if before_pause and phone.symbol != "m" else phone.end_s
        first, last = _held_frames(phone.start_s, end_s)
        early = np.clip((first - frames) / ATTACK_FRAMES, 0.0, 1.0)
        late = np.clip((frames - last) / RELEASE_FRAMES, 0.0, 1.0)
        envelope = np.maximum(envelope, 0.5 + 0.5 * np.cos(np.pi * np.maximum(early, late)))
    return envelope


def _held_frames(start_s: float, end_s: float) -> tuple[int, int]:
    """First and last frame of a contact, at least two."""
    first = int(np.ceil((start_s - SLACK_S) * FRAME_HZ - 0.5))
    last = int(np.floor((end_s + SLACK_S) * FRAME_HZ - 0.5))
    if last - first < 1:
        first = int(np.floor((start_s + end_s) / 2 * FRAME_HZ - 0.5))
        last = first + 1
    return first, last


def make_contacts(weights: np.ndarray, phones: list[Phone]) -> np.ndarray:
    """The same face, [T, K], with every contact made, clipped to 0..1."""
    out = weights.copy()
    teeth = contact_envelope(phones, LIP_ON_TEETH, len(out))
    closed = contact_envelope(phones, CLOSED, len(out))
    _lip_to_teeth(out, teeth * (1.0 - closed))
    _lip_to_lip(out, closed)
    return np.clip(out, 0.0, 1.0)


def _columns(*stems: str) -> list[int]:
    return [i for name, i in INDEX.items() if name.startswith(stems)]


_OPENERS = _columns("mouthUpperUp", "mouthLowerDown", "mouthFunnel", "mouthShrug", "tongueOut")
_PRESS = _columns("mouthPress")
_ROLL = _columns("mouthRoll")
_SPREAD = _columns("mouthStretch", "mouthSmile", "mouthDimple")
_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]


def _lip_to_lip(weights: np.ndarray, closed: np.ndarray) -> None:
    """Close the lips where `closed` is 1, in place."""
    c = closed[:, None]
    weights[:, _OPENERS] *= 1.0 - c
    weights[:, _SPREAD] *= 1.0 - 0.35 * c
    weights[:, _PRESS] += 0.20 * c
    weights[:, _ROLL] += 0.08 * c
    jaw = weights[:, _JAW]
    weights[:, _JAW] = jaw - closed * np.maximum(jaw - np.minimum(jaw * 0.5, JAW_IN_CLOSURE), 0.0)
    weights[:, _CLOSE] = np.maximum(weights[:, _CLOSE], closed * weights[:, _JAW])
    held = closed > 0.99
    for _ in range(2):
        miss = lip_aperture_mm(weights[held]).max(1) - CLOSED_MM if held.any() else np.zeros(0)
        weights[held, _CLOSE] = np.clip(weights[held, _CLOSE] + miss / MM_PER_MOUTH_CLOSE, 0.0, 1.0)


def _lip_to_teeth(weights: np.ndarray, contact: np.ndarray) -> None:
    """Bring the lower lip up under the upper teeth where `contact` is 1, in place."""
    c = contact[:, None]
    weights[:, _columns("mouthLowerDown", "mouthFunnel", "tongueOut")] *= 1.0 - c
    weights[:, _columns("mouthPucker")] *= 1.0 - 0.6 * c
    upper = _columns("mouthUpperUp")
    weights[:, upper] = np.maximum(weights[:, upper], 0.42 * c)
    weights[:, INDEX["mouthRollLower"]] += 0.22 * contact
    jaw = weights[:, _JAW]
    weights[:, _JAW] = jaw - contact * np.maximum(jaw - 0.06, 0.0)
    weights[:, _CLOSE] = np.maximum(weights[:, _CLOSE], contact * 0.9 * weights[:, _JAW])
    held = contact > 0.99
    for _ in range(2):
        miss = lip_teeth_gap_mm(weights[held]) if held.any() else np.zeros(0)
        weights[held, _CLOSE] = np.clip(weights[held, _CLOSE] + miss / MM_PER_MOUTH_CLOSE, 0.0, 1.0)


def mouth_weights(channels: np.ndarray) -> np.ndarray:
    """Articulator positions, [T, C] in the order of `poses.CHANNELS`, as ARKit weights [T, K]."""
    jaw, funnel, pucker, spread, upper, lower, tongue = channels.T
    out = np.zeros((len(channels), K))
    out[:, _JAW] = jaw
    out[:, INDEX["mouthFunnel"]] = funnel
    out[:, INDEX["mouthPucker"]] = pucker
    out[:, INDEX["tongueOut"]] = tongue
    for side in ("Left", "Right"):
        out[:, INDEX["mouthStretch" + side]] = 0.75 * spread
        out[:, INDEX["mouthDimple" + side]] = 0.35 * spread
        out[:, INDEX["mouthUpperUp" + side]] = upper
        out[:, INDEX["mouthLowerDown" + side]] = lower
    return out
