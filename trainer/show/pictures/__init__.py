"""Pictures for people: arrays in, labelled RGB pictures [H, W, 3] uint8 out."""
