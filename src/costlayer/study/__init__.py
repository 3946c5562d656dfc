"""The study: train the same network with several pairs, and say which one served the data best."""
