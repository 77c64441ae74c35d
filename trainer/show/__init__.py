"""What is shown while a run goes on: TensorBoard, terminal, figures.

It reads the run and writes events and pictures; no number of the run depends on it.
"""
