"""The Beam side: transforms, and what each named step of the DAG does."""
