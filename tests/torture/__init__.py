"""What the app is put through to find the next fault: `make torture`, and a quick part in tests.

A module here with a list PARTS is part of it (see part.py). Every case is drawn from a seed, so
that one that fails can be looked at again: `python -m tests.torture NAME --first 123 --count 1`.
"""
