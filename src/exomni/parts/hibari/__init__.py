"""hibari-tts, the voice: G2P, the front half that times phonemes, the back half that is the vocoder."""
