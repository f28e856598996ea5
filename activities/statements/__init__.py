"""Statements of banks: files of entries, read as a stream, and compared with what is on record."""
