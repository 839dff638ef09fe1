"""One run of fine-tuning: step, losses, schedule, checkpoints, its folder."""
