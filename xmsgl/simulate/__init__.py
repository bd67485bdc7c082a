"""A small process model of stream temperature and the basin it simulates."""
