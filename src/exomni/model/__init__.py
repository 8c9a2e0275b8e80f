"""The neural model: speech encoder, language model, unit generator, face decoder and what joins them."""
