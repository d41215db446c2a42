//! Apache httpd 2.2 and 2.4: its configuration, read as httpd reads it, and what limit follows from it.
