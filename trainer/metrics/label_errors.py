"""Labels that are probably wrong, by what networks that have not seen them predict.

Confident learning (Northcutt et al., JAIR 70:1373 (2021)): an image is suspected where another
class is predicted with at least the mean probability that images of that class have, and likelier
so than any other that is.
"""

from typing import NamedTuple

import numpy as np

ROUNDING = 1e-9  # of a mean


class Suspects(NamedTuple):
    """Images whose label is probably wrong, the most suspect first.

    Attributes:
      images: [m] int, their numbers.
      suggested: [m] int, the class that each probably is of.
      margins: [m] float64, by how much that is likelier than the label.
      expected: how many there would be if all labels were right and the probabilities calibrated.
    """

    images: np.ndarray
    suggested: np.ndarray
    margins: np.ndarray
    expected: float


def find(probability: np.ndarray, classes: np.ndarray) -> Suspects:
    """Returns the images whose class is probably another.

    Args:
      probability: [n, K] float, of each class, from networks that were not trained on the image.
      classes: [n] int, the class that each image is labelled with.
    """
    own = [column[classes == k] for k, column in enumerate(probability.T)]
    levels = np.array([of_class.mean() if of_class.size else np.inf for of_class in own])
    confident = np.where(probability >= levels - ROUNDING, probability, -np.inf)
    likeliest = confident.argmax(1)
    is_confident = np.isfinite(confident.max(1))
    images = np.flatnonzero(is_confident & (likeliest != classes))
    rows = probability[images]
    margins = rows[np.arange(len(images)), likeliest[images]]
    margins = margins - rows[np.arange(len(images)), classes[images]]
    order = np.argsort(-margins, kind="stable")
    # A label drawn from the probabilities is another than the likeliest one this often.
    others = 1 - probability[np.arange(len(classes)), likeliest]
    expected = float(others[is_confident].sum())
    return Suspects(images[order], likeliest[images][order], margins[order], expected)
