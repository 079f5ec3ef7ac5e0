"""A loaded model, the process it lives in, and the front end's handle on it."""
