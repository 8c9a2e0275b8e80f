"""exomni: a machine that answers with words, a voice and a living face."""
