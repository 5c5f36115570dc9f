"""The laboratory behind `tideloop bench`: event loops measured side by side, every answer checked.

It is a program: it may use extras, and nothing else of the package imports it.
"""
