"""Find a caption for each image: captions that name the classes, ranked for diversity, and templates where none do."""
