"""What models are made of: batches, sparse operators, inherited inputs, segment identities."""
