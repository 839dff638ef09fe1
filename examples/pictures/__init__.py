"""The code that makes the images of the corpus: processed photographs, drawings, clip art, and faulty files."""
