"""Small tools that do not depend on rivers: options, optional libraries, progress, history, HTML, files."""
