"""The records of LeafInstruct: what a document, an instance and an outcome are. Nothing here knows Beam or torch."""
