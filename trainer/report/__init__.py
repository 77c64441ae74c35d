"""Pages about finished runs: of one, of several compared, and of single radiographs."""
