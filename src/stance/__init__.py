"""stance: who supports or opposes what in the news.

The package is layered; a module imports only from the rings above it:

* serving   `errors` `jsonl` `records` `encoding` `predictor`   (numpy, tokenizers, onnxruntime)
* reading   `mentions` `reader`                                 (+ spaCy)
* building  `corpora` `examples` `splits` `dataset`             (+ datasets, datasketch)
* training  `encoders` `model` `batches` `training` `export` `scores` `baselines` `evaluation` `plots`
* rim       `tracking` `pyfunc` `jobs` `config`                 (+ mlflow, hydra)

Importing this package does nothing; import what you need from its modules.
"""

__version__ = "0.1.0"
