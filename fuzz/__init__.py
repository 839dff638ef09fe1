"""Fuzzing: what strangers send, thrown at the code that reads it first.

python -m fuzz.run pixels --seconds 300         # or another of fuzz.targets.TARGETS; atheris where it is installed
python -m fuzz.build_hostile --inputs 20000     # hostile records and images through a whole build
"""
