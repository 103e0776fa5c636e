"""Options of the stages that make candidates and read scene graphs off them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from invdpo.schemas.config.section import RUNTIME, Count, Section
from invdpo.schemas.config.vlm import Asking


class _Annotate(Section):
    """Without the options that other sections have too, which stand behind these."""

    annotators: tuple[str, ...] = Field(
        ("shapes",), min_length=1, description="Any of detector, import, shapes, vlm."
    )
    import_path: str | None = Field(
        None, description="File of graphs, or its address, for `import`: .json, .jsonl, .parquet."
    )
    detector_model: str = Field(
        "google/owlv2-base-patch16-ensemble",
        description="Model of `detector`: OWLv2 or Grounding "
        "DINO in transformers' form, a Hub id or a folder.",
    )
    detector_query: str = Field(
        "{label}",
        pattern=r"\{label\}",
        description="What it is asked; {label} stands for an object's name.",
    )
    detector_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Least confidence of a box; 0.1 of OWLv2 and 0.25 of "
        "Grounding DINO if not given.",
    )
    detector_nms: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Of boxes with one name that overlap more (intersection over "
        "union), the surest is kept.",
    )
    detector_attributes: tuple[str, ...] = Field(
        ("colour", "material", "texture", "shape", "age"),
        description="Kinds of attributes that "
        "`detector` tells from the cut-outs; others stay unknown.",
    )
    detector_clip_model: str = Field(
        "ViT-L-14", description="open_clip model that chooses them: a name, a folder, `embedded`."
    )
    detector_clip_pretrained: str | None = Field(
        "datacomp_xl_s13b_b90k", description="open_clip weights tag or safetensors file of it."
    )
    vlm_vocabulary: Literal["closed", "open"] = Field(
        "closed",
        description="Whether `vlm` may use only the words of the prompt's graph and "
        "their alternatives, or any.",
    )
    alternatives: str | None = Field(
        None,
        description="YAML file whose attributes by kind are the alternatives; ours if not given.",
    )
    batch_size: Count = Field(
        32, description="Images annotated together.", json_schema_extra=RUNTIME
    )
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=RUNTIME)


class AnnotateConfig(Asking, _Annotate):
    """Which annotators read scene graphs off the candidates."""
