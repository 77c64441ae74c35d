"""What an export can be, for those who ask before TensorFlow is loaded."""

FORMATS = ("saved_model", "keras")
