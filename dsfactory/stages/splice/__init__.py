"""Splice: new training images from kept samples, as mosaics and by pasting objects (DiffuMask, section 3.4)."""
