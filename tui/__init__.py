"""The terminal chat: screens and widgets over an engine handle.

`app.run_chat` is the way in. Talks to the engine through `amulet_local.engine.client.EngineHandle`
alone, so nothing here loads native code; model text is shown as text, whatever it contains.
"""
