"""JSON Schemas: read without following what they name, checked within bounds, as the standard's own validator does."""

import json
import random
import re

import jsonschema
import pydantic
import pytest

from rlm_jupyter.engine.typed_answers import pydantic_check
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema, find_json, to_plain
from rlm_jupyter.engine.typed_answers.bounded_patterns import MOST_WEIGHT, Pattern, PatternError, weigh
from rlm_jupyter.engine.typed_answers.json_check import MOST_DEPTH, TooMuchWorkError, problems_of
from rlm_jupyter.engine.typed_answers.json_schema import OF_AGENTS, TYPES, JsonSchema, SchemaError
from rlm_jupyter.errors import ConfigError


def said(schema, value, bounds=OF_AGENTS):
    return [message for _, message in problems_of(JsonSchema(schema, bounds), value)]


# ---- the same verdicts as jsonschema

VALUES = [
    None, True, False, 0, 1, 1.0, 2, -1, 2.5, "", "a", "ab", "x1", [], [1], [1, 1.0], [1, True], [[1], [1]], ["a", "b"], {},
    {"a": 1}, {"a": 1, "b": "x"}, {"b": 2}, {"a": {"a": 1}}, [{"a": 1}, {"a": 1}], [{"a": 1}, {"a": True}], {"x1": 3}, {"c": [1]},
]  # fmt: skip
COUNTS = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
]
ONE = ["not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"]  # fmt: skip
MADE = {
    "type": lambda r, _: r.choice([r.choice(TYPES), r.sample(TYPES, 2)]),
    "enum": lambda r, _: r.choices(VALUES, k=3),
    "const": lambda r, _: r.choice(VALUES),
    **dict.fromkeys(
        ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], lambda r, _: r.choice([0, 1, 2, 1.5])
    ),
    "multipleOf": lambda r, _: r.choice([1, 2, 0.5]),
    **dict.fromkeys(COUNTS, lambda r, _: r.choice([0, 1, 2, 1.0])),
    "pattern": lambda r, _: r.choice(["^a", "b$", "x[0-9]", "^$"]),
    "uniqueItems": lambda r, _: r.random() < 0.8,
    "required": lambda r, _: r.sample("abc", r.randint(0, 2)),
    "dependentRequired": lambda _r, _d: {"a": ["b"]},
    "$ref": lambda r, _: r.choice(["#/$defs/p", "#/$defs/q", "#p"]),
}
NESTED = {
    **dict.fromkeys(["allOf", "anyOf", "oneOf", "prefixItems"], lambda r, d: [made(r, d) for _ in range(r.randint(1, 2))]),
    **dict.fromkeys(["properties", "dependentSchemas"], lambda r, d: {n: made(r, d) for n in r.sample("abc", 2)}),
    "patternProperties": lambda r, d: {"^x": made(r, d)},
    **dict.fromkeys(ONE, lambda r, d: made(r, depth=d)),
}  # fmt: skip


def made(rng, depth=0):
    if rng.random() < 0.05:
        return rng.random() < 0.6
    makers = {**MADE, **(NESTED if depth < 3 else {})}
    return {name: makers[name](rng, depth + 1) for name in rng.sample(list(makers), rng.randint(1, 3))}


def test_its_verdicts_are_those_of_jsonschema():
    rng = random.Random(7)
    defs = {
        "p": {"$anchor": "p", "type": "object", "properties": {"a": {"type": "integer"}}},
        "q": {"maximum": 1},
    }
    verdicts = {True: 0, False: 0}
    for _ in range(6000):
        schema = made(rng)
        if isinstance(schema, bool):
            continue
        schema["$defs"] = defs
        value = rng.choice(VALUES)
        wanted = jsonschema.Draft202012Validator(schema).is_valid(value)
        assert (not said(schema, value)) is wanted, (json.dumps(schema), value)
        verdicts[wanted] += 1
    assert min(verdicts.values()) > 500


@pytest.mark.parametrize(
    ("value", "of", "fits"),
    [
        (0.3, 0.1, True),
        (0.35, 0.1, False),
        (7**100, 7, True),
        (1e308, 1e-300, True),
        (float("inf"), 1, False),
    ],
)
def test_multiples_are_told_by_their_decimals(value, of, fits):
    assert (said({"multipleOf": of}, value) == []) is fits


# ---- what is refused when it is read

OUTSIDE = {
    "http": {"$ref": "http://127.0.0.1:9/x"},
    "file": {"$ref": "file:///etc/hostname"},
    "path": {"$ref": "other.json"},
    "own-draft": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
    "scheme-relative": {"$ref": "//127.0.0.1/x"},
    "dynamic": {"$dynamicRef": "http://127.0.0.1:9/x"},
    "recursive": {"$recursiveRef": "http://127.0.0.1:9/x"},
    "spaces": {"$ref": " #/$defs/a"},
    "no-text": {"$ref": ["#"]},
    "inner-id": {"properties": {"a": {"$id": "http://127.0.0.1:9/", "$ref": "#/x"}}},
    **{
        f"in-{keyword}": {keyword: shape({"$ref": "http://127.0.0.1:9/x"})}
        for keyword, shape in {
            **dict.fromkeys(ONE, lambda s: s),
            **dict.fromkeys(["allOf", "anyOf", "oneOf", "prefixItems"], lambda s: [s]),
            **dict.fromkeys(["$defs", "definitions", "properties", "dependentSchemas", "patternProperties"], lambda s: {"a": s}),
        }.items()
    },
    "behind-a-reference": {"$ref": "#/hidden", "hidden": {"items": {"$ref": "http://127.0.0.1:9/x"}}},
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("from_agent", [True, False])
def test_what_refers_to_something_outside_is_refused_with_the_place_and_the_reason(name, from_agent):
    with pytest.raises(ConfigError, match=r"at `\$|at `#") as caught:
        AnswerSchema({"title": "x", **OUTSIDE[name]}, from_agent=from_agent)
    assert re.search(
        r"outside of the schema|reference must be a text|`\$id` of its own", caught.value.message
    )


@pytest.mark.parametrize("data", [{"const": {"$ref": "http://a/"}}, {"enum": [{"$ref": "http://a/"}]}, {"default": {"$id": "x"}}, {"properties": {"$ref": {"type": "string"}, "$id": {}}}])  # fmt: skip
def test_what_only_looks_like_a_reference_is_data(data):
    schema = {"title": "x", **data}
    assert AnswerSchema(schema, from_agent=True).json == schema


@pytest.mark.parametrize(
    "reference", ["#/nothing", "#/$defs/a/x/y", "#none", "#/$defs/a/9999999999", "#/enum/0"]
)
def test_a_reference_to_nothing_is_told(reference):
    with pytest.raises(SchemaError, match=r"leads to nothing|has no anchor"):
        JsonSchema({"$defs": {"a": {"$ref": reference}}, "enum": [1]}, OF_AGENTS)


def test_references_within_are_followed_by_pointer_anchor_and_escapes():
    schema = {
        "$schema": "http://127.0.0.1:9/draft",
        "$id": "http://127.0.0.1:9/root",
        "$defs": {"a/b ~c": {"type": "integer"}, "n": {"$anchor": "node", "minimum": 3}},
        "allOf": [{"$ref": "#/$defs/a~1b%20~0c"}, {"$ref": "#node"}, {"$dynamicRef": "#node"}],
    }
    assert said(schema, 4) == []
    assert len(said(schema, 2.5)) == 3


def deep(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


TOO_LARGE = {
    "deep": deep(500),
    "deep-data": {"const": json.loads("[" * 500 + "]" * 500)},
    "wide": {"enum": list(range(30_000))},
    "long": {"description": "x" * 300_000, "type": "string"},
    "long-names": {"properties": {f"{n}" * 100: {} for n in range(1_000, 2_000)}},
    "many": {"allOf": [{"minimum": n} for n in range(15_000)]},
    "integer": {"maximum": 1 << 30_000},
    "pattern": {"pattern": "a{1000}{1000}"},
    "nested-counts": {"pattern": "(?:(?:(?:a?){100}){100}){10}c"},
    "starred-counts": {"pattern": "(?:(?:a?){100})*{100}b"},
    "look-around": {"pattern": "^(?=a)"},
    "back-reference": {"patternProperties": {r"(a)\1": True}},
    "flags": {"pattern": "(?x)a"},
    "no-pattern": {"properties": {"a": {"pattern": "("}}},
    "type": {"type": ["string", "text"]},
    "required": {"required": "a"},
    "count": {"minItems": -1},
    "multiple": {"multipleOf": 0},
    "items-list": {"items": [{}]},
    "schema": {"not": 3},
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_or_no_schema_is_refused_in_a_few_words(name):
    with pytest.raises(ConfigError, match="not valid JSON Schema") as caught:
        AnswerSchema(TOO_LARGE[name], from_agent=True)
    assert len(caught.value.message) < 700


def test_a_user_may_use_look_around_and_more_of_all():
    schema = AnswerSchema(
        {"type": "string", "pattern": "^(?=.*[0-9])(?=.*[a-z]).{8,}$", "title": "x" * 300_000}
    )
    assert schema.validate("abc45678") == "abc45678"
    with pytest.raises(ValueError, match="does not match"):
        schema.validate("abcdefgh")


# ---- checks within bounds: that of each of these ends at all is the test

DOUBLING = {"$defs": {f"n{n}": {"anyOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2} for n in range(40)}}
DOUBLING["$defs"]["n40"] = False
ENDLESS = {
    "itself": ({"$ref": "#"}, 1),
    "each-other": ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}, 1),
    "doubling": ({"$ref": "#/$defs/n0", **DOUBLING}, 1),
    "doubling-not": ({"not": {"oneOf": [{"$ref": "#"}] * 2}}, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_a_schema_that_is_work_without_end_is_given_up(name):
    schema, value = ENDLESS[name]
    with pytest.raises(TooMuchWorkError, match=r"longer than|nested"):
        problems_of(JsonSchema(schema, OF_AGENTS), value)


def test_work_that_is_too_much_by_the_value_is_given_up_too():
    schema = AnswerSchema({"items": {"enum": list(range(10_000))}}, from_agent=True)
    with pytest.raises(ValueError, match="longer than 5 s"):
        schema.validate([9_999] * 1_000_000)
    problems = problems_of(JsonSchema({"items": {"type": "string"}}, OF_AGENTS), [1] * 1_000_000)
    assert len(problems) == 50


SLOW = {
    "pattern": ({"pattern": "^(a+)+$"}, "a" * 5_000 + "!"),
    "alternatives": ({"pattern": "^(a|a)*$"}, "a" * 5_000 + "!"),
    "names": ({"patternProperties": {"^(a|aa)+$": False}, "additionalProperties": {"type": "string"}}, {"a" * 5_000 + "!": 1}),
    "property-names": ({"propertyNames": {"pattern": "^([a-z]+)*$"}}, {"a" * 5_000 + "!": 1}),
    "unique-objects": ({"uniqueItems": True, "type": "object"}, [{"n": n} for n in range(100_000)]),
    "unique-lists": ({"uniqueItems": True, "type": "object"}, [[n] for n in range(100_000)]),
    "large-integer": ({"const": 1}, 1 << 10_000_000),
    "multiple": ({"multipleOf": 1e-300}, 1 << 10_000_000),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_patterns_and_long_lists_take_a_time_that_grows_with_their_length_alone(name):
    schema, value = SLOW[name]
    problems = said(schema, value)
    assert problems
    assert all(len(problem) < 400 for problem in problems)


def test_a_text_too_long_for_an_agents_pattern_is_told():
    schema = AnswerSchema({"pattern": "[ab]*a[ab]{900}c"}, from_agent=True)
    with pytest.raises(ValueError, match="too long to be matched"):
        schema.validate("ab" * 1_000_000)


@pytest.mark.parametrize("pattern", [r"^\d{4}-\d{2}-\d{2}$", r"^[\w.+-]{1,64}@[\w-]+\.[\w.]{2,}$", r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "^.{1,500}$", "(?i)^yes|no$", "(?P<year>[0-9]+)", r"[]a]\]", "{"])  # fmt: skip
def test_the_patterns_that_people_write_are_allowed(pattern):
    assert weigh(pattern) <= MOST_WEIGHT
    if pattern != "{":
        Pattern(pattern, trusted=False)


@pytest.mark.parametrize("pattern", ["(", ")", "[a", "a\\", "(?=a)", "(?<=a)b", "(?s)a"])
def test_what_cannot_be_weighed_is_refused(pattern):
    with pytest.raises(PatternError):
        Pattern(pattern, trusted=False)


def test_a_message_never_holds_the_whole_value():
    value = {"a": ["x" * 1_000_000] * 3, "b": 1 << 100_000}
    for schema in ({"type": "string"}, {"const": 1}, {"enum": [2]}, {"not": {}}, {"oneOf": [True, True]}, {"maxProperties": 1}, {"additionalProperties": False}, {"properties": {"a": {"uniqueItems": True}, "b": {"maximum": 3}}}):  # fmt: skip
        with pytest.raises(ValueError, match=": ") as caught:
            AnswerSchema(schema).validate(value)
        assert len(str(caught.value)) < 1_000


def test_of_an_object_that_fits_no_branch_the_nearest_mistake_is_told():
    branch = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert "name: 3 is not of type 'string'" in said({"anyOf": [{"type": "null"}, branch]}, {"name": 3})[0]


# ---- values that are larger than their bytes


class Tree(pydantic.BaseModel):
    children: list["Tree"] = []


def doubled_tree():
    node = {"children": []}
    for _ in range(60):
        node = {"children": [node, node]}
    return [node]


def test_values_that_hold_themselves_or_double_at_each_level_are_no_plain_data():
    circle = []
    circle.append(circle)
    doubling = []
    for _ in range(100):
        doubling = [doubling, doubling]
    for value in (circle, doubling, {"a": circle}):
        with pytest.raises(ValueError, match=r"nested deeper|so many parts"):
            to_plain(value, 1)
        with pytest.raises(ValueError, match=r"nested deeper|so many parts"):
            AnswerSchema({"type": "array"}, from_agent=True).validate(value)
    with pytest.raises(ValueError, match=r"more than 1,000,000 parts"):  # pydantic would walk it without end
        AnswerSchema(Tree).validate({"children": doubled_tree()})
    nested = json.loads("[" * (MOST_DEPTH + 50) + "]" * (MOST_DEPTH + 50))
    with pytest.raises(ValueError, match="nested deeper"):
        AnswerSchema({"type": "array"}).validate(nested)


MISTAKES = {
    "late": (list[int], [0] * 50_000 + ["x"] * 1_000_000, "0000: "),
    "all": (list[int], ["x"] * 1_000_000, "0: "),
    "dict": (dict[str, int], {str(n): "x" for n in range(100_000)}, "0: "),
    "nested": (list[list[int]], [["x"] * 100_000] * 20, "0.0: "),
    "one-piece": (list[int], ["x"] * 15_000, "15,000 mistakes"),
    "too-many": (tuple[int, ...], (0,) * 1_500_000, "more than 1,000,000 parts"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_of_a_million_mistakes_the_first_are_found_and_the_others_never_written_down(name, monkeypatch):
    schema, value, where = MISTAKES[name]
    written = []

    def errors_of(error):
        written.append(error.error_count())
        return original(error)

    original = pydantic_check.errors_of
    monkeypatch.setattr(pydantic_check, "errors_of", errors_of)
    with pytest.raises(ValueError, match=": ") as caught:
        AnswerSchema(schema).validate(value)
    assert where in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert max(written, default=0) <= 1_000


def test_a_large_typed_answer_that_is_right_comes_through_whole():
    value = [{"a": n} for n in range(50_000)]
    assert AnswerSchema(list[dict[str, int]]).validate(value) == value


# ---- columns


@pytest.mark.parametrize("dtype", ["datetime64[ns, dateutil//etc/hostname]", "datetime64[ns, dateutil/UTC]", "S1000000000", "U999999999", "V9999999", "(1000000000,)f8", "f8," + " " * 10_000 + "x", "f8, f8", "interval[int64]", "int64[pyarrow" + "]" * 50])  # fmt: skip
def test_an_agent_may_not_name_a_dtype_that_means_more_than_itself(dtype):
    with pytest.raises(ConfigError):
        AnswerSchema({"a": "string", "b": dtype}, from_agent=True)
    with pytest.raises(ConfigError):
        AnswerSchema({"type": dtype}, from_agent=True)


@pytest.mark.parametrize("dtype", ["string", "float64", "Int64", "bool", "boolean", "category", "object", "datetime64[ns]", "datetime64[ns, Europe/Berlin]", "timedelta64[ms]", "string[python]", "int64[pyarrow]", "period[M]", "i8", "<M8[ns]", "str", "int"])  # fmt: skip
def test_the_dtypes_that_tables_have_may_be_named(dtype):
    assert "DataFrame" in AnswerSchema({"type": "string", "b": dtype}, from_agent=True).text


# ---- JSON within text


@pytest.mark.parametrize("piece", ["[", "{", '{"a":', "[1,", '["x", ', "{}, [", "```\n", "```", "```json\n[", "[" * 50 + "1", "1" * 5000, '"', "\\"])  # fmt: skip
def test_text_of_nothing_but_brackets_is_read_in_bounded_time(piece):
    text = piece * (2_000_000 // len(piece))
    try:
        find_json(text)
    except ValueError as error:
        assert len(str(error)) < 500  # noqa: PT017 - some of them hold a value


def test_nested_json_of_ten_thousand_levels_is_no_json_and_no_internal_error():
    for text in (
        "[" * 10_000,
        "[" * 10_000 + "]" * 10_000,
        'Here: {"a": ' + "[" * 10_000 + "]" * 10_000 + "}",
    ):
        with pytest.raises(ValueError, match=r"no JSON|does not|nested"):
            AnswerSchema({"type": "integer"}, from_agent=True).read(text)
