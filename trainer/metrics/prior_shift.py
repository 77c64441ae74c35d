"""What other shares of the classes than those of training change, found without any label.

Saerens, Latinne and Decaestecker, Neural Computation 14:21 (2002): expectation maximisation finds
the shares of the classes in new data from the probabilities that a network gives for it, and with
them the probabilities it would give had it been trained there. It holds where only the shares
differ, and images of a class look alike in both: not where another device or reader is the cause.
"""

import numpy as np
from scipy.optimize import brentq

STEPS, TOLERANCE = 2000, 1e-7  # at most, and the change of a share below which it ends


def estimate(probability: np.ndarray, assumed: np.ndarray) -> np.ndarray:
    """Returns the share of each class among new examples, [K] float64.

    Of two classes the likelihood that the steps climb has its one maximum where its slope is 0,
    which is found at once: where scores tell little it would take thousands of steps. No share is
    below half an example, so that its odds are finite.

    Args:
      probability: [n, K] of each class, calibrated, for the new examples.
      assumed: [K] shares of the classes where it was calibrated, none 0.
    """
    least = 0.5 / len(probability)
    if len(assumed) == 2:
        lacks, has = (probability / assumed).T

        def slope(share: float) -> float:
            return float(np.mean((has - lacks) / (share * has + (1 - share) * lacks)))

        if slope(least) <= 0 or slope(1 - least) >= 0:
            share = least if slope(least) <= 0 else 1 - least
        else:
            share = brentq(slope, least, 1 - least)
        return np.array([1 - share, share])
    shares = assumed
    for _ in range(STEPS):
        found = corrected(probability, assumed, shares).mean(0)
        done = np.abs(found - shares).max() < TOLERANCE
        shares = found
        if done:
            break
    shares = np.maximum(shares, least)
    return shares / shares.sum()


def corrected(probability: np.ndarray, assumed: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns the probabilities, [n, K], where the classes have other shares than assumed."""
    weighted = probability * (shares / assumed)
    return weighted / weighted.sum(1, keepdims=True)
