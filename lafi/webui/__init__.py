"""What all WebUIs share: the page, infotext, API, X/Y/Z, pictures, and the life of a run."""
