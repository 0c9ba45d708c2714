"""stance: who supports or opposes what in the news.

The package is layered; a module imports only from the rings above it:

* serving   `errors` `files` `jsonl` `records` `forms` `encoding` `predictor`  (numpy, onnxruntime, tokenizers)
* reading   `mentions` `reader`                                        (+ spacy)
* building  `corpora` `agreement` `annotators` `examples` `duplicates` `splits` `division` `ledger`
            `stages` `leaks` `dataset` `markup` `page` `writing` `build` `versions` `lexicon` `grammar`
            `readings` `labelling` `weak` `tally`
            (+ datasets, datasketch, pyarrow, tqdm, xxhash, yaml, krippendorff, scipy, trafilatura,
            charset_normalizer, requests)
* training  `encoders` `model` `batches` `callbacks` `recipe` `augment` `trainer` `training` `export` `scores`
            `calibration` `abstention` `trust` `baselines` `evaluation` `transfer` `curve` `review` `plots` `show`
            (+ torch, transformers, safetensors, onnx, evaluate, sklearn, cleanlab, matplotlib, rich)
* rim       `tracking` `registry` `pyfunc` `jobs` `config`       (+ mlflow, alembic, pandas, hydra, omegaconf)

Importing this package does nothing; import what you need from its modules.
"""

__version__ = "0.1.0"
