"""The code behind the pictures of the corpus: photographs worked on, drawings, converted clip art, and faulty files."""
