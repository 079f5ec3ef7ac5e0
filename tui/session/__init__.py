"""A chat without its screen."""
