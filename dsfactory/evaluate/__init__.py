"""Train on synthetic, test on real: the number that says what a synthetic dataset is worth."""
