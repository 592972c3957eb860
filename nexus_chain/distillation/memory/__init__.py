"""What was verified is kept: one database of examples without duplicates, searched, exported and proved from.

It knows no teacher and no judge: an example comes with its confidence and its proof.
"""
