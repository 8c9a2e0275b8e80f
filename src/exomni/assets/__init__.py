"""Outside files: one table of them with hashes, found in packages, verified, converted once and cached."""
