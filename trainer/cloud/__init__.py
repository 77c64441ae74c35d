"""Submits the job to a cloud's accelerators, and watches it; nothing here loads TensorFlow."""
