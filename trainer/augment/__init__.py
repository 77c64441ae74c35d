"""Random augmentation on the accelerator: geometry, grey levels, noise, JPEG."""
