"""The server's own tool beside our migrations: it must find no drift."""
