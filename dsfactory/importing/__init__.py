"""Labels that a person mended in another tool, brought back into the run: one file per format."""
