"""How every token of a reply was moved."""
