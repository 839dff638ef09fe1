"""OpenAI-compatible servers: questions to vision models, pictures from image models."""
