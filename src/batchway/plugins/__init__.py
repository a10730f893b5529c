"""One file a plugin: `key_auth.py` is `key-auth`."""
