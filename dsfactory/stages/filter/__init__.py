"""Noise learning: which samples' labels the rest of the run contradicts, and which pixels."""
