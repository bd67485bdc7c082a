"""The recurrent graph cell, in exchangeable forms that compute the same."""
