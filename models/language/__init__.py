"""The embedded language model: SmolLM2-135M-Instruct with this project's LoRA; rates texts and writes instructions."""
