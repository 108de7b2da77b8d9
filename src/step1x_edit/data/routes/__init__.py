"""Routes from a real photograph to an edit of what stands in it, one file each, as the paper's pipeline has them."""
