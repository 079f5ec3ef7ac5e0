"""GGUF files: what is in them, which are here, and how the default one comes here.

Knows files, folders and pip; knows nothing of terminals, and no native code sees a file from here.
"""
