"""Make more training images of the kept ones: mosaics, and objects pasted onto other images.

They hold what a model alone seldom shows: small objects, several in an image, partly hidden ones. Their masks are exact
compositions of the masks that are there, with every object apart. Some results are blurred, covered by a block of
another sample or seen from another viewpoint (--set splice.blur=0, splice.occlusion, splice.perspective).

Only samples of the train split are used, and exports put the results into train, so nothing of val leaks. A larger
--num or --paste adds to what is there. Export with --without splice leaves them out.
"""
