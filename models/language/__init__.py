"""The embedded language model: SmolLM2-135M-Instruct with our LoRA, which rates texts and writes instructions."""
