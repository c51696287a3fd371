"""The stations of the cell, each on its process."""
