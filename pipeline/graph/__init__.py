"""The Beam transforms, and what each stage of the DAG does."""
