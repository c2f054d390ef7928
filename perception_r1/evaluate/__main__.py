"""`python -m perception_r1.evaluate RUN.json`: one model's responses to one benchmark, graded, a file a batch.

A killed evaluation goes on after the batches that are there.
"""

import importlib
import sys
from pathlib import Path

from perception_r1.child import end_with_parent, write_progress
from perception_r1.errors import PerceptionError
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.records import Prediction
from perception_r1.table import write


def main() -> None:
    """Writes the predictions of every batch that is not there yet."""
    end_with_parent()
    spec = EvalSpec.read(Path(sys.argv[1]))
    try:
        evaluate(spec)
    except PerceptionError as error:
        sys.exit(str(error))


def evaluate(spec: EvalSpec) -> None:
    """Asks the model about all items in batches of a stable order."""
    import torch

    from perception_r1.evaluate.generate import responses
    from perception_r1.evaluate.predict import prediction
    from perception_r1.models import open_model, open_processor

    # by name, so that another benchmark's code is no part of this run's key
    benchmark = importlib.import_module(f"perception_r1.benchmarks.{spec.benchmark}")
    items = list(benchmark.items(spec.items, spec.items_seed))
    processor = open_processor(spec.weights, min_pixels=spec.min_pixels, max_pixels=spec.max_pixels)
    model = open_model(spec.weights, bf16=spec.bf16).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    for start in range(0, len(items), spec.batch):
        batch = items[start : start + spec.batch]
        path = spec.predictions / f"{start:08}.parquet"
        if not path.exists():
            said = responses(model, processor, [item.problem for item in batch], spec.max_tokens, spec.instruction)
            rows = [
                prediction(
                    model=spec.model,
                    seed=spec.seed,
                    benchmark=spec.benchmark,
                    module=benchmark,
                    item=item,
                    condition="full",
                    response=response.text,
                    tokens=response.tokens,
                    truncated=response.truncated,
                )
                for item, response in zip(batch, said, strict=True)
            ]
            write(path, rows, Prediction)
        write_progress(spec.folder, start + len(batch), len(items))


if __name__ == "__main__":
    main()
