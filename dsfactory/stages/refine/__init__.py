"""Evidence to mask: fusion, adaptive threshold, dense CRF, cleaning, instances and scores."""
