"""Studies that were made once, to decide something or to measure it. Nothing depends on them, and no test runs them."""
