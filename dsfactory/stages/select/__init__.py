"""Choose N of the kept samples: those that cover the rest, typical ones, those nearest to real images, or hard ones.

Nothing is deleted: the samples get a place in the order of choice, and 'dsfactory export --selected' takes the chosen
ones. The first n of N are the choice for n, so a larger --num only adds. By default classes take turns, the least
trusted fifth of each class and near-copies are left out, and each next sample is the one that is most unlike what is
chosen and most like what is not (facility location on image features and on what the label says). The features are
those of EfficientNet-Lite0, which comes with dsfactory; they are kept in the run's folder 'embed'.
"""
