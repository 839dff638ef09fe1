"""Questions to the language model: sends prompts, validates the answers and caches them."""
