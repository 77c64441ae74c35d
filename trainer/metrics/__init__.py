"""Exact metrics of labels and scores, their intervals, and calibration.

NumPy in, numbers out: no TensorFlow, no charts.
"""
