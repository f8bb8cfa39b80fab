"""Drop samples whose labels the rest of the run contradicts, and ignore doubtful pixels.

A segmentation network is trained on each part of the run except one, and judges that one: what it never saw. A sample
is dropped when its label disagrees with the network (IoU within its class, and cleanlab's label quality), when its
class is not to be seen, when the object is far too small or large, or when the image nearly repeats a better one. In
what is kept, pixels whose loss is high for their class become ignore (255), except on outlines
(--set filter.pixel_loss=0 leaves all).

Nothing is deleted: a dropped sample keeps its files and has a reason. Exports leave it out, except with --without
filter. Killed, it goes on with the same command. A run that has grown is judged again as a whole. Other rules (--keep …
--redo) need no new training.
"""
