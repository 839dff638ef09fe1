"""Fuzzing of the code that reads untrusted input first.

python -m fuzz.run pixels --seconds 300         # or another of fuzz.targets.TARGETS; atheris where it is installed
python -m fuzz.build_hostile --inputs 20000     # hostile records and images through a whole build
"""
