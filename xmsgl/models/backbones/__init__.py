"""What turns the inputs of a network's nodes into hidden states; one of them in every strategy."""
