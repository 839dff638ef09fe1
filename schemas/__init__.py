"""The records of LeafInstruct: documents, instances and outcomes. Nothing here imports Beam or torch."""
