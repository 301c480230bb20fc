"""The page of a model: static files that run it in a browser, where anyone can turn β."""
