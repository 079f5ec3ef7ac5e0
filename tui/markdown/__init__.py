"""Text of models and people, made safe, parsed and drawn."""
