"""Does realignment align? Replies are written by several methods, scored, and compared.

Behind `amulet eval` and `amulet calibrate`; docs/alignment.md says what was found with it. An
engine room: it knows models by their file, and neither the model folder nor the screen.
"""
