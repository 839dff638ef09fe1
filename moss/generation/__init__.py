"""Writing answers: decoding, whole images, the folder of answers and its page."""
