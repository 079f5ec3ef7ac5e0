"""One score a module, each with its formula and where it comes from."""
