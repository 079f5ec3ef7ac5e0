"""From a conversation to the token ids of each stream."""
