"""Turn the attention maps of a run into masks. Needs no GPU, and generates nothing again.

Maps are fused, cut at a threshold that suits each image and class, brought to the edges of the image by a dense CRF,
and cleaned. Other settings (--redo) cost seconds, since the attention maps are kept.
"""
