"""Scenario after scenario against a running WebUI, written down as a Markdown table.

``python3 -m tests e2e --url URL --matrix FILE``. The scenarios are data, one module for
each kind; `runner.py` makes their pictures, `verdict.py` judges them, `table.py` writes it down.
"""
