"""Recordings kept for later pictures: where (bank), under what (key), on which way (transfer)."""
