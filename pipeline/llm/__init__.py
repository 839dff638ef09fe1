"""Questions to the language model: prompts go out, checked answers come back and are kept."""
