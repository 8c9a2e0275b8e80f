"""The blendshape decoder behind its port: windowed attention, so that faces of any length cost flat memory."""

import numpy as np
import torch
from torch import Tensor

from ...core.errors import UnsupportedError
from ...core.timebase import FRAME_HZ, UNIT_HZ, rescale_ceil
from ...model.blendshape_decoder import BlendshapeDecoder
from ..ports import SpeechUnits


class BlendshapeFace:
    """Faces of clauses and recordings (`FaceMaker`).

    Args:
        network: with its weights.
        name: of the model, for messages.
    """

    def __init__(self, network: BlendshapeDecoder, name: str = "this model"):
        self.network, self._name = network, name
        self._takes_emotion = network.config.n_emotions > 0
        self.unit_multiple = network.chunk_unit_multiple

    @property
    def reach_units(self) -> int:
        """How many units before and after a frame change it, as a whole number of `unit_multiple`.

        Raises:
            UnsupportedError: the decoder looks at everything at once.
        """
        frames = self.network.receptive_frames
        if frames is None:
            raise UnsupportedError(f"{self._name} makes no face for a recording: it decodes whole utterances alone")
        return -(-rescale_ceil(frames, FRAME_HZ, UNIT_HZ) // self.unit_multiple) * self.unit_multiple

    @torch.inference_mode()
    def frames(self, speech: SpeechUnits, emotion: np.ndarray | None, meaning: Tensor | None) -> np.ndarray:
        """Face of a clause, float32 [T_frame, K] in 0..1; see `FaceMaker.frames`."""
        given = self._emotion(emotion)
        if meaning is not None and len(meaning) and self.network.config.d_llm is not None:
            given["llm_states"] = meaning[None]
        mask = None if speech.hidden_mask is None else speech.hidden_mask[None]
        face = self.network(speech.units[None], speech.hidden_states[None], mask, **given)
        return face.blendshapes[0].float().clamp(0, 1).cpu().numpy()

    @torch.inference_mode()
    def recording_frames(self, units: Tensor, first_unit: int, emotion: np.ndarray | None) -> np.ndarray:
        """Face of a recording's units, from the units alone, float32 [T_frame, K] in 0..1."""
        face = self.network(units[None], first_unit=first_unit, **self._emotion(emotion))
        return face.blendshapes[0].clamp(0, 1).numpy()

    def _emotion(self, emotion: np.ndarray | None) -> dict[str, Tensor]:
        if emotion is None:
            return {}
        if not self._takes_emotion:
            raise UnsupportedError(f"{self._name} takes no emotion: its face follows the words alone")
        return {"emotion": torch.from_numpy(emotion)[None]}
