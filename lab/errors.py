"""What goes wrong through no fault of the workshop."""


class LabError(Exception):
    """Something the caller can mend; shown without a traceback."""
