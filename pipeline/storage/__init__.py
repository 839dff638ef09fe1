"""Files and folders, local or in an object store."""
