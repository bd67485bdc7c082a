"""The recurrent graph cell, in several implementations with the same result."""
