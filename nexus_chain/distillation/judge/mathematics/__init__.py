"""The judge of mathematics: is an answer equivalent to what is expected, and is every step on the way to it true?"""
