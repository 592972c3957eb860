"""The files of a model version: the manifest that names them, where they are found, and their text codec."""
