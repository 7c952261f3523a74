"""Grade notebooks that anybody may have written."""
