"""What the voice's acoustic channels are: 128 phonetic ones, log1p(f0) / 5 and energy, 80 times a second."""

ACOUSTIC_CHANNELS = 130
F0_CHANNEL = 128
ENERGY_CHANNEL = 129
