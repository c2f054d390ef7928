"""The tiny model is the real class, opens without torchvision, and follows from its seed."""

import copy
import io
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from perception_r1.benchmarks import world
from perception_r1.evaluate.cache import Response
from perception_r1.evaluate.conditions import shown
from perception_r1.evaluate.generate import model_inputs, rendered, responses
from perception_r1.models import open_model, open_processor, with_patch_products
from perception_r1.world.charts import problems, tasks
from perception_r1.world.demonstrator import demonstrations
from perception_r1.world.tiny_vlm import END, new_model, new_processor, save
from perception_r1.world.warm_start import IGNORED, _texts, batch, prompt, warm_started


@pytest.fixture(scope="module")
def processor():  # type: ignore[no-untyped-def]
    return new_processor(_texts(0))


def inputs(processor, count: int = 4):  # type: ignore[no-untyped-def]
    asked = list(tasks("heldout", count, seed=0))
    images = [Image.open(io.BytesIO(task.chart.png())) for task in asked]
    texts = [prompt(processor, task.text) for task in asked]
    return processor(text=texts, images=images, return_tensors="pt", padding=True, padding_side="left")


def test_the_model_is_a_small_qwen2_5_vl(processor) -> None:  # type: ignore[no-untyped-def]
    from transformers import Qwen2_5_VLForConditionalGeneration

    model = new_model(processor, seed=0)
    assert isinstance(model, Qwen2_5_VLForConditionalGeneration)
    assert 600_000 < sum(p.numel() for p in model.parameters()) < 750_000
    assert "torchvision" not in sys.modules


def test_a_chart_is_nine_image_tokens(processor) -> None:  # type: ignore[no-untyped-def]
    given = inputs(processor)
    assert given["image_grid_thw"].tolist() == [[1, 6, 6]] * 4
    assert (given["input_ids"] == processor.image_token_id).sum(dim=1).tolist() == [9] * 4


def test_text_survives_the_tokenizer(processor) -> None:  # type: ignore[no-untyped-def]
    for _, said in demonstrations(50, seed=9):
        assert processor.tokenizer.decode(processor.tokenizer(said).input_ids) == said


def test_only_the_response_is_learnt(processor) -> None:  # type: ignore[no-untyped-def]
    given = list(demonstrations(6, seed=2))
    for labels, (_, said) in zip(batch(processor, given)["labels"], given, strict=True):
        assert processor.tokenizer.decode(labels[labels != IGNORED]) == f"{said}<|im_end|>"


def test_a_batch_is_what_the_processor_makes_of_it(processor) -> None:  # type: ignore[no-untyped-def]
    given = list(demonstrations(6, seed=2))
    texts = [f"{prompt(processor, task.text)}{said}{END}" for task, said in given]
    images = [task.chart.image() for task, _ in given]
    expected = processor(text=texts, images=images, return_tensors="pt", padding=True, padding_side="right")
    made = batch(processor, given)
    assert made.keys() == {*expected, "labels"}
    for name, values in expected.items():
        assert torch.equal(made[name], values), name


def test_a_picture_that_comes_again_is_prepared_once_and_all_is_as_the_stock_processor_makes_it(  # type: ignore[no-untyped-def]
    processor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(new_model(processor, seed=0), processor, tmp_path)
    ours = open_processor(tmp_path)
    charts = [task.chart.image() for task in tasks("heldout", 3, seed=0)]
    images = [charts[n] for n in (0, 1, 0, 2, 1)] + [charts[0].resize((112, 56))]
    asked = {"text": [prompt(processor, "Why?")] * len(images), "images": images, "return_tensors": "pt"}
    expected = processor(**asked, padding=True, padding_side="left")
    prepared: list[int] = []
    stock = type(processor.image_processor)._preprocess
    monkeypatch.setattr(
        type(processor.image_processor),
        "_preprocess",
        lambda self, images, **rest: prepared.append(len(images)) or stock(self, images, **rest),
    )
    made = ours(**asked, padding=True, padding_side="left")
    assert prepared == [4]
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], values) for name, values in expected.items())
    ours.save_pretrained(tmp_path)
    assert type(open_processor(tmp_path).image_processor) is type(ours.image_processor)


def test_patches_are_embedded_as_by_the_convolution() -> None:
    plain = torch.nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4), bias=False)
    product = with_patch_products(torch.nn.Sequential(copy.deepcopy(plain)))[0]
    assert type(product) is not type(plain)
    assert product.state_dict().keys() == plain.state_dict().keys()
    for shape in ((5, 3, 2, 4, 4), (1, 3, 4, 8, 8)):  # patches, and what is more than one
        patches = torch.randn(shape)
        seen, expected = product(patches), plain(patches)
        assert torch.allclose(seen, expected, atol=1e-5)
        gradients = [
            torch.autograd.grad(out.square().sum(), made.weight)[0]
            for out, made in ((seen, product), (expected, plain))
        ]
        assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4)


def test_a_saved_model_says_the_same_when_it_is_opened(processor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = new_model(processor, seed=0).eval()
    save(model, processor, tmp_path)
    opened, other = open_model(tmp_path), open_processor(tmp_path)
    assert prompt(other, "Why?") == prompt(processor, "Why?")
    with torch.no_grad():
        assert torch.equal(opened(**inputs(other)).logits, model(**inputs(processor)).logits)


def test_a_warm_start_follows_from_its_seed() -> None:
    seen: list[float] = []
    (one, _), (same, _), (other, _) = (
        warm_started(seed, steps=2, watch=lambda step, steps, loss: seen.append(loss)) for seed in (0, 0, 1)
    )
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert seen[1] < seen[0]


def said(model, processor, asked) -> list[Response]:  # type: ignore[no-untyped-def]
    prompts = [rendered(processor, problem) for problem in asked]
    return responses(model, processor, prompts, [image for problem in asked for image in problem.images], 12)


def test_without_a_picture_no_image_token_and_no_pixel_is_sent(processor) -> None:  # type: ignore[no-untyped-def]
    (item,) = world.items(1, 0)
    for condition, tokens in (("full", 9), ("blank", 9), ("none", 0), ("caption", 0)):
        problem = shown(item, condition)
        given = model_inputs(processor, [rendered(processor, problem)], problem.images)
        assert int((given["input_ids"] == processor.image_token_id).sum()) == tokens
        assert ("pixel_values" in given) is (tokens > 0)


def test_evaluation_is_greedy_whatever_the_model_s_folder_says(processor) -> None:  # type: ignore[no-untyped-def]
    model, asked = new_model(processor, seed=0).eval(), list(problems("heldout", 2, 0))
    plain = said(model, processor, asked)
    model.generation_config.update(repetition_penalty=1.8)  # Qwen2.5-VL's says 1.05
    assert said(model, processor, asked) == plain


def test_a_response_ends_at_any_of_the_model_s_ends(processor) -> None:  # type: ignore[no-untyped-def]
    model, asked = new_model(processor, seed=0).eval(), list(problems("heldout", 1, 0))
    assert said(model, processor, asked)[0].truncated
    model.generation_config.update(eos_token_id=list(range(len(processor.tokenizer))))
    assert [(each.tokens, each.truncated) for each in said(model, processor, asked)] == [(1, False)]
