"""From annotated articles to a dataset: examples, splits without leaks, manifest, card and page. `build` joins them."""
