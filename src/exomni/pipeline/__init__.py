"""Text or a recording in, typed events out: clauses, spoken prompts, recordings, results."""
