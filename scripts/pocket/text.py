"""The text side of the pocket model: a `CLIPTokenizer` with its own small vocabulary and a small `CLIPTextModel`."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

MAX_TOKENS = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], merges: int = 3000) -> CLIPTokenizer:
    """Learn byte-pair merges on the texts; the result is a `CLIPTokenizer` of 77 positions, padded with its end token.

    The vocabulary is laid out as CLIP's: 256 byte characters, the same at word ends, one entry per merge, the two
    special tokens. Any text can be encoded.
    """
    template = CLIPTokenizer().backend_tokenizer  # CLIP's own normaliser and pre-tokeniser
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = template.normalizer
    learner.pre_tokenizer = template.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) * 2 + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        min_frequency=2,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learnt = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    entries = alphabet + [letter + "</w>" for letter in alphabet]
    entries += list(dict.fromkeys("".join(pair) for pair in learnt))
    vocab = {entry: number for number, entry in enumerate(dict.fromkeys([*entries, START, END]))}
    return CLIPTokenizer(vocab=vocab, merges=learnt, model_max_length=MAX_TOKENS)


def build_text_encoder(tokenizer: CLIPTokenizer, width: int = 160, layers: int = 3) -> CLIPTextModel:
    """An untrained CLIP text encoder: ids [B, 77] → hidden states [B, 77, width]."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def encode_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids int64 [B, 77], padded and cut exactly as `StableDiffusionPipeline.encode_prompt` does."""
    return tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt").input_ids


def load_texts(rows: Path) -> list[str]:
    """The captions of `rows.jsonl`, in scene order."""
    with open(rows, encoding="utf-8") as lines:
        return [json.loads(line)["caption"] for line in lines]
