"""Charts of a run, as SVG for a page and as pixels for TensorBoard."""
