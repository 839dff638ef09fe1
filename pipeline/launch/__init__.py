"""What runs on the machine where a command is started: build, publish, calibrate, selftest."""
