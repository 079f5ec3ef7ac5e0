"""What lies outside the app: clipboard, links, files."""
