"""The parts of the validator: one file for each kind of file in the folder. Each yields defects and never raises."""
