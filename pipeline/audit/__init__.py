"""Two readers judge a random sample of kept and dropped documents without knowing which is which."""
