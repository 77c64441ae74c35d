"""Random augmentation of batches on the accelerator: geometry, grey levels, noise, JPEG.

Only TensorFlow operations that take a random key and the rows of the batch; nothing here reads
files or knows of replicas.
"""
