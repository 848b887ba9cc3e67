"""One model API a file; each is a Writer of curation.synthesis.writing."""
