"""Options of `invdpo curate annotate`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from invdpo.schemas.config.plugin_options import PluginOptions
from invdpo.schemas.config.section import LOCAL, RUNTIME, TEXT, Count, Section
from invdpo.schemas.config.vlm import VlmOptions


class _Annotate(Section):
    """The options of this section alone; the help shows them before those that others share."""

    annotators: tuple[str, ...] = Field(
        ("shapes",),
        description="Any of detector, import, shapes, vlm, or plug-ins: PACKAGE.MODULE:CLASS; "
        "`none` reads no graphs.",
        json_schema_extra=LOCAL,
    )
    import_path: str | None = Field(
        None,
        description="File with graphs for `import`, or its URL: .json, .jsonl or .parquet.",
        json_schema_extra=LOCAL,
    )
    detector_model: str = Field(
        "google/owlv2-base-patch16-ensemble",
        description="Model of `detector`: OWLv2 or Grounding "
        "DINO in the format of transformers, a Hub id or a folder.",
        json_schema_extra=LOCAL,
    )
    detector_query: str = Field(
        "{label}",
        pattern=r"\{label\}",
        description="Query text of the detector; {label} is replaced by the name of an object.",
        json_schema_extra=TEXT,
    )
    detector_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Minimum confidence of a box; 0.1 for OWLv2 and 0.25 for "
        "Grounding DINO if not given.",
    )
    detector_nms: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Of boxes with the same name that overlap by more than this "
        "(intersection over union), only the most confident is kept.",
    )
    detector_attributes: tuple[str, ...] = Field(
        ("colour", "material", "texture", "shape", "age"),
        description="Kinds of attributes that "
        "`detector` classifies in each box; others stay unknown.",
    )
    detector_clip_model: str = Field(
        "ViT-L-14",
        description="open_clip model that classifies them: a name, a folder, or `embedded`.",
        json_schema_extra=LOCAL,
    )
    detector_clip_pretrained: str | None = Field(
        "datacomp_xl_s13b_b90k",
        description="Weights of that model: an open_clip tag or a safetensors file.",
        json_schema_extra=LOCAL,
    )
    vlm_vocabulary: Literal["closed", "open"] = Field(
        "closed",
        description="Words that `vlm` may use. `closed`: those of the prompt's graph and "
        "their alternatives; `open`: any.",
    )
    alternatives: str | None = Field(
        None,
        description="YAML file of alternatives: attributes by kind; the built-in one if not given.",
        json_schema_extra=LOCAL,
    )
    batch_size: Count = Field(
        32, description="Images annotated together.", json_schema_extra=RUNTIME
    )
    device: str = Field(
        "auto",
        description="Torch device, several such as cuda:0,cuda:1, or `auto`.",
        json_schema_extra=RUNTIME,
    )


class AnnotateConfig(PluginOptions, VlmOptions, _Annotate):
    """Which annotators read scene graphs off the candidates."""

    named_by: ClassVar[str] = "annotators"
