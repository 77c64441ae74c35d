"""Metrics of binary labels, their intervals, and calibration."""
