"""What the operating system gives: paths, files, processes."""
