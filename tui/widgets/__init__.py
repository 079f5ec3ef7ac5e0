"""One widget a file; they talk to the screen in typed messages, and never to each other."""
