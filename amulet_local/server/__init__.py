"""`amulet serve`: an HTTP server that speaks OpenAI's API, over the same engine as the app."""
