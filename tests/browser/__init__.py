"""The studio in a real browser: `make test-browser`.

It needs Chromium and its driver, as Debian has them (`apt-get install chromium chromium-driver`),
so `make test` does without. With STOGRAM_PICTURES=1 it makes the pictures of the documents anew.
"""
