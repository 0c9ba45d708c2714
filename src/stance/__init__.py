"""stance: who supports or opposes what in the news.

A module imports only from its own package and from what stands before it here (but for what `python -m` runs):

* serving   `errors` `files` `jsonl` `records` `settings` `forms` `lookup` `layouts` `encoding` `artifact` `predictor`
            (numpy, onnxruntime, tokenizers)
* reading   `mentions` `people` `reader`                               (+ spacy)
* building  `bootstrap` `progress` `corpora` `building` `weak`
            (+ datasets, datasketch, filelock, pyarrow, tqdm, xxhash, yaml, scipy, trafilatura, charset_normalizer,
            requests)
* training  `network` `launch` `augmentation` `scoring` `export` `training` `reporting` `studies`
            (+ torch, transformers, accelerate, peft, safetensors, onnx, evaluate, sklearn, cleanlab, optuna,
            sqlalchemy, psutil, submitit, matplotlib, rich)
* rim       `tracking` `pyfunc` `jobs` `config` `commands`             (+ mlflow, alembic, pandas, hydra, omegaconf)

What stands in parentheses is what a ring needs to be installed. Each package says in its docstring what belongs there.
Importing this package does nothing; import what you need from its modules.
"""

__version__ = "0.1.0"
