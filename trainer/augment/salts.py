"""Salts that tell apart the draws made under one step's key, see `random_numbers.uniform`.

No two may be equal, and another value is another training.
"""

AFFINE = 1
TONE = 2
NOISE = 3
COMPRESSION = 4
ERASING = 5
ERASING_GREY = 6
MIXING = 7
LOCAL_CONTRAST = 8
CROP = 9
CURVE = 10
COLLIMATION = 11
OWN = 100  # of the first draw of a user's function; the next have 101, 102 and so on
