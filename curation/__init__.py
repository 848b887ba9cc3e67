"""Floor 1: what is done to texts about clips."""
