"""dsfactory: class names in, a labelled segmentation dataset out."""

__version__ = "0.1.0"
