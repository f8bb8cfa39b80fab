"""Label images that you have: the same attention that labels generated ones, read from a few noisy passes.

Makes a run and exports it; status, verify, refine and export work on it. Your images are only read. Given again, the
command goes on where it was stopped, and labels images that were added since.

An image that cannot be used (damaged, animated, not an image at all) is a failed sample with a reason, and the exit
code is 3.
"""
