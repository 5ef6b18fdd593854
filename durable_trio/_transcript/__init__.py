"""A journal as a transcript that people read: for the command and for the reports of tests.

_tree      a journal as branches    _describe  entries as text
_text      values as text
"""
