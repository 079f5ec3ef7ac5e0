"""What the documentation is made by."""
