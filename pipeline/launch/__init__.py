"""What runs on the machine where a command is started: build, publish, attach, calibrate and the other commands."""
