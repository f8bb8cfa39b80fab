"""Paint flaws into clean pictures: scratches, stains, cracks, dents, with masks that are known by construction.

DIR holds pictures without flaws; they are only read. Each becomes --per samples, half of them left clean. Flaws lie on
the object (--where auto finds it against the background; all, or a folder of masks). The label is what has visibly
changed, with a ring of ignored pixels around it; all other pixels are those of the file, and grey pictures of 16 bits
keep their depth. A flaw that cannot be seen is none: the sample is clean.

What is painted needs no model: texture blends another surface in, noise changes the picture's own. Each kind has a
shape; kinds that are not known by name are blotches (--set defects.shapes={nick: edge}). Samples of one picture stay on
one side of the split. --format mvtec is the layout that anomalib reads.
"""
