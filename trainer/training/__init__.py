"""One run: its steps, state, loop and evaluation."""
