"""People to show faces on in a browser, built by `tools/build_avatars.py` from MakeHuman's CC0 data. No torch."""
