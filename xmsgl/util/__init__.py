"""Small tools that know nothing of rivers: options, optional libraries, progress, history, HTML, files."""
