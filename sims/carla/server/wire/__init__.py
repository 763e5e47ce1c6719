"""What goes over the wire: calls and their answers, streams, and the structures in both."""
