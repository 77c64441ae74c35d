"""Distributed TensorFlow and Keras training of chest radiograph classifiers."""

__version__ = "0.1.0"
