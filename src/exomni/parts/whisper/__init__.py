"""Whisper: its encoder for the unit tokenizer and the listener, and the whole of it as a transcriber."""
