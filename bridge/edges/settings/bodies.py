"""`body:` of a source in bridge.yaml: how its sender spells bodies. A sender that differs needs a setting, no code."""

from datetime import tzinfo
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, create_model, model_validator

from bridge.edges.settings.fields import Entry
from bridge.rules.event import Spelling
from bridge.rules.event.spelling import FIELDS, MEANINGS, read_places, read_words


def _places(where: Any) -> Any:
    return None if where is None else read_places(where)


def _words(words: Any) -> Any:
    if words is None:
        return None
    read_words({"succeeded": words})
    return words if isinstance(words, list) else [words]


_form_fields: Any = dict.fromkeys(FIELDS, (Annotated[Any, BeforeValidator(_places)], None))
_form_statuses: Any = dict.fromkeys(MEANINGS, (Annotated[Any, BeforeValidator(_words)], None))
FieldsForm = create_model("FieldsForm", __base__=Entry, **_form_fields)
StatusesForm = create_model("StatusesForm", __base__=Entry, **_form_statuses)


def _given(form: Entry) -> dict[str, Any]:
    return {name: value for name in type(form).model_fields if (value := getattr(form, name)) is not None}


class BodyForm(Entry):
    """How a sender's bodies are spelled."""

    preset: Literal["planasonix", "none"] = "planasonix"
    fields: FieldsForm = FieldsForm()  # type: ignore[valid-type]
    statuses: StatusesForm = StatusesForm()  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        read_words(_given(self.statuses))
        if self.preset == "none" and not _given(self.fields):
            raise ValueError("`preset: none` needs `fields`: nothing of a body would be read")
        return self

    def build(self, zone: tzinfo | None) -> Spelling:
        """Return the spelling; `zone` is of instants without an offset."""
        fields = tuple(_given(self.fields).items())
        return Spelling(zone, fields, read_words(_given(self.statuses)), self.preset == "planasonix")
