"""llama.cpp, what it computes on, and streams in lockstep over one model."""
