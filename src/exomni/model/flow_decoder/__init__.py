"""The speech decoder of the `paper` preset: speech units -> mel spectrogram -> 22.05 kHz speech."""
