"""Generate images of the classes, and keep what the model's attention says about each of them.

Captions are found first, an image is made of each. Only this needs a GPU, and only for models that make photographs;
the model pocket, which comes with dsfactory, makes stickers on a CPU. A run that was killed or stopped goes on with the
same command. A larger --num adds images and changes none.
"""
