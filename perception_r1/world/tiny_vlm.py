"""A Qwen2.5-VL of 0.7 million parameters: the real classes with small numbers, and a tokenizer made on the spot.

Neither torchvision nor a hub is needed. PyPI's torchvision for this torch is a CUDA build that breaks CPU torch when
it is imported, and the stock processor wants it for videos; ours has no video processor, and opens a real Qwen2.5-VL
folder as well.
"""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perception_r1.models import with_patch_products

HIDDEN, LAYERS, HEADS, KV_HEADS, INTERMEDIATE = 96, 2, 4, 2, 288
VISION_DEPTH, VISION_INTERMEDIATE = 1, 192
PATCH, MERGE = 14, 2
MROPE_SECTIONS = [4, 4, 4]  # time, height, width: half of a head's 24 dimensions
CONTEXT = 512
VOCABULARY = 340
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
# the real template's system text would be most of a prompt of 31 tokens
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@functools.cache
def processor_class() -> Any:
    """Qwen2.5-VL's processor without the video processor; a class made late, for transformers takes seconds to import.

    `AutoProcessor` would not find it and return the bare tokenizer without a word: always load through this class.
    """
    from transformers import Qwen2_5_VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class ImageProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc, unused-ignore]
        # the parts of a processor are read off this signature
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
            self.image_token, self.video_token = VISION[2:]
            self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(list(VISION[2:]))
            parts: Any = ProcessorMixin
            parts.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    return ImageProcessor


def new_processor(corpus: Iterable[str]) -> Any:
    """A processor whose tokenizer was trained on the texts of the world."""
    from transformers import Qwen2VLImageProcessorPil

    images = Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=MERGE, min_pixels=1, max_pixels=256 * PATCH**2)
    return processor_class()(image_processor=images, tokenizer=_tokenizer(corpus), chat_template=TEMPLATE)


def _tokenizer(corpus: Iterable[str]) -> Any:
    """A byte-level BPE tokenizer of Qwen2's class."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    trained = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [PAD, START, END, *VISION]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(corpus, trainer)
    model = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(merge) for merge in model["merges"]]
    return Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        eos_token=END,
        pad_token=PAD,
        unk_token=PAD,
        extra_special_tokens=[START, *VISION],
    )


def new_model(processor: Any, seed: int) -> Any:
    """An untrained model in float32 whose weights follow from the seed."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    ids = processor.tokenizer.convert_tokens_to_ids
    ends = {"eos_token_id": ids(END), "pad_token_id": ids(PAD), "bos_token_id": None}
    text = {
        "vocab_size": len(processor.tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "mrope_section": MROPE_SECTIONS, "rope_theta": 10_000.0},
        **ends,
    }
    vision = {
        "depth": VISION_DEPTH,
        "hidden_size": HIDDEN,
        "intermediate_size": VISION_INTERMEDIATE,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [0],
    }
    places = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    tokens = {place: ids(token) for place, token in zip(places, VISION, strict=True)}
    # a tied head is under-confident at this size: only 81 % of samples were well formed
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **tokens)
    model: Any = with_patch_products(Qwen2_5_VLForConditionalGeneration(config))
    model.generation_config.update(**ends)
    return model


def save(model: Any, processor: Any, folder: Path) -> None:
    """Writes model and processor as transformers does."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
