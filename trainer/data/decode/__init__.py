"""Decoding: from a file's bytes to a grey image, from JPEG, PNG or DICOM.

Damaged and hostile files are refused within bounds of memory; without TensorFlow, as it runs in
many processes.
"""
