"""stance: who supports or opposes what in the news.

The package is layered; a module imports only from the rings above it:

* serving   `errors` `settings` `files` `jsonl` `records` `forms` `lookup` `layouts` `encoding` `artifact` `predictor`
            (numpy, onnxruntime, tokenizers)
* reading   `mentions` `people` `reader`                               (+ spacy)
* building  `bootstrap` `corpora` `agreement` `annotators` `questions` `unannotated` `examples` `duplicates` `splits`
            `division` `ledger` `stages` `leaks` `soundness` `dataset` `markup` `page` `writing` `build` `versions`
            `lexicon` `grammar` `mood` `readings` `labelling` `weak` `tally`
            (+ datasets, datasketch, filelock, pyarrow, tqdm, xxhash, yaml, scipy, trafilatura, charset_normalizer,
            requests)
* training  `launch` `multirun` `encoders` `heads` `narrow` `relative` `model` `inference` `objective` `teacher`
            `ancestry` `batches` `callbacks` `precision` `recipe` `renaming` `hiding` `rewriting` `augment` `failures`
            `validation` `watch` `trainer` `checkpoints` `resume` `training` `export` `scores` `calibration`
            `abstention` `trust` `baselines` `evaluation` `transfer` `studies` `rehearsal` `bakeoff` `curve` `review`
            `plots` `history` `show` `usage` `space` `study` `trial` `findings` `sweep` `distributed` `engine` `lora`
            `packaged`
            (+ torch, transformers, accelerate, peft, safetensors, onnx, evaluate, sklearn, cleanlab, optuna,
            sqlalchemy, psutil, submitit, matplotlib, rich)
* rim       `origin` `runs` `tracking` `registry` `pyfunc` `sweep_runs` `jobs` `commands` `config` `stores`
            (+ mlflow, alembic, pandas, hydra, omegaconf)

Importing this package does nothing; import what you need from its modules.
"""

__version__ = "0.1.0"
