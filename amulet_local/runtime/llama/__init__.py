"""The only room that touches llama.cpp."""
