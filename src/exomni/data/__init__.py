"""The data builder: text, speech, units, hidden states and faces in rows (paper, data set section)."""
