"""The host makes one picture at a time."""

import threading

queue_lock = threading.Lock()
