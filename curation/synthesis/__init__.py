"""Texts asked of models: narratives of clips and rationales of QA pairs, with order, sources and cost known."""
