"""From streams to a reply: the decode loop, what draws a token, guesses, text."""
