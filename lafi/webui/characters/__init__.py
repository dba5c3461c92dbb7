"""The library of characters: what is kept, how prompts call it, and its page."""
