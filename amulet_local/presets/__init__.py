"""Preferences with a name: built in, the user's own, and calibrated to a model."""
