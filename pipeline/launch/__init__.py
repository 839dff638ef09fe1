"""What runs on the machine that a command is given to: build, publish, calibrate."""
