"""Chats: the tree of messages, how replies came about, and where they are kept."""
