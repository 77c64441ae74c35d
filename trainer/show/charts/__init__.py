"""Charts as SVG for a page and as pixels for TensorBoard.

Arrays in, one figure out; nothing here reads a run.
"""
