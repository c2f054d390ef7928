"""`python -m perception_r1.evaluate RUN.json`: one model's responses to one benchmark, graded, a file a shard.

A killed evaluation goes on after the shards that are there, and asks nothing that the cache knows.
"""

import importlib
import sys
from contextlib import ExitStack
from pathlib import Path

from perception_r1 import sections
from perception_r1.child import end_with_parent, give_up
from perception_r1.endpoints import Endpoint, Speaking, open_endpoint
from perception_r1.errors import ConfigError, PerceptionError
from perception_r1.evaluate.cache import Cache
from perception_r1.evaluate.engines import Engine, Sampling, Served, Transformers
from perception_r1.evaluate.fallback import Finder
from perception_r1.evaluate.perceived import Perceiver, annotated, check_known
from perception_r1.evaluate.run import answer
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.judges import Judge


def main() -> None:
    """Writes the predictions that are not there yet."""
    end_with_parent()
    spec = EvalSpec.read(Path(sys.argv[1]))
    try:
        evaluate(spec)
    except PerceptionError as error:
        give_up(spec.folder, error)


def evaluate(spec: EvalSpec) -> None:
    """Asks the model about all items under all conditions."""
    # by name, so that another benchmark's code is no part of this run's key
    benchmark = importlib.import_module(f"perception_r1.benchmarks.{spec.benchmark}")
    facts = annotated(spec.data.facts) if spec.judge else {}
    check_known(facts, benchmark.items(spec.items, spec.items_seed, spec.data))
    cache = Cache(spec.cache or spec.folder / "responses.sqlite")
    engine = opened(spec, cache)
    with ExitStack() as open_ones:
        open_ones.callback(cache.close)
        open_ones.callback(engine.close)
        finder = Finder(_opened(spec.extractor, open_ones)) if spec.extractor else None
        perceiver = Perceiver(Judge(_opened(spec.judge, open_ones)), facts) if spec.judge else None
        answer(spec, benchmark, engine, finder, perceiver)


def _opened(settings: sections.Endpoint, open_ones: ExitStack) -> Endpoint:
    """An endpoint that must say something, closed with the others."""
    endpoint = Speaking(open_endpoint(settings))
    open_ones.callback(endpoint.close)
    return endpoint


def opened(spec: EvalSpec, cache: Cache) -> Engine:
    """The engine that the specification names."""
    sampling = Sampling(spec.max_tokens, spec.temperature, spec.items_seed)
    if spec.endpoint:
        spoke = any(spec.predictions.glob("*.parquet"))
        return Served(open_endpoint(spec.endpoint), spec.digest, sampling, spec.instruction, cache, spoke=spoke)
    if not spec.weights:
        raise ConfigError("an evaluation needs the folder of a model, or an endpoint")
    if spec.generator == "vllm":
        from perception_r1.evaluate.offline import VLLM

        return VLLM(spec.weights, spec.digest, sampling, spec.instruction, cache, limits(spec), bf16=spec.bf16)
    import torch

    from perception_r1.models import open_model, open_processor

    processor = open_processor(spec.weights, min_pixels=spec.min_pixels, max_pixels=spec.max_pixels)
    model = open_model(spec.weights, bf16=spec.bf16).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return Transformers(model, processor, spec.digest, sampling, spec.batch, spec.instruction, cache)


def limits(spec: EvalSpec) -> dict[str, int]:
    """The limits of a picture's pixels that the specification sets."""
    return {key: pixels for key in ("min_pixels", "max_pixels") if (pixels := getattr(spec, key))}


if __name__ == "__main__":
    main()
