"""One short hint at an error of an agent's code: what the data is, and a line of code to go on from.

Models of all sizes make the same few errors, and weak ones make them again and again: the error's own text says what
is wrong, but not what there is. An error that is not one of these kinds gets no hint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rlm_jupyter.engine.error_hints import context_hints, missing_names, wrong_kind, wrong_value
from rlm_jupyter.text.shorten import cut_end

if TYPE_CHECKING:
    from rlm_jupyter.engine.error_hints.failure import Failure

LONGEST = 244
"""Characters of a hint: 250 with the word before it."""
_Finder = Callable[["Failure", int], str | None]
_SAMPLES = (60, 30, 0)  # characters of data that are quoted, as long as there is room

_FINDERS: dict[str, tuple[_Finder, ...]] = {
    "NameError": (context_hints.context_function, missing_names.unbound_name),
    "UnboundLocalError": (missing_names.unbound_name,),
    "KeyError": (missing_names.missing_key,),
    "FileNotFoundError": (missing_names.missing_file,),
    "OSError": (missing_names.missing_file,),
    "PermissionError": (missing_names.missing_file,),
    "ModuleNotFoundError": (missing_names.missing_module,),
    "ImportError": (missing_names.missing_module,),
    "StdinNotImplementedError": (missing_names.nobody_answers,),
    "AttributeError": (context_hints.context_function, wrong_kind.attribute, wrong_value.one_sentence),
    "JSONDecodeError": (wrong_value.not_json,),
    "IndexError": (wrong_value.no_such_group, wrong_value.nothing_there, wrong_value.unpacked),
    "ZeroDivisionError": (wrong_value.nothing_there,),
    "StatisticsError": (wrong_value.nothing_there,),
    "ValueError": (
        wrong_kind.not_a_table,
        wrong_value.nothing_there,
        wrong_value.unpacked,
        wrong_value.not_a_number,
        wrong_value.columns_of_groups,
        wrong_value.one_sentence,
    ),
    "TypeError": (
        wrong_kind.index_of_sequence,
        wrong_kind.not_callable,
        wrong_kind.not_subscriptable,
        wrong_value.values_counted,
        wrong_value.text_and_number,
        wrong_value.one_sentence,
    ),
    "DateParseError": (wrong_value.one_sentence,),
    "error": (wrong_value.pattern_error,),  # the name of `re.PatternError` before Python 3.13
    "PatternError": (wrong_value.pattern_error,),
}


def hint(failure: Failure) -> str | None:
    """Returns one hint of at most `LONGEST` characters, or None if there is none for such an error.

    Args:
        failure: the error, and what is known of the variables.
    """
    for finder in _FINDERS.get(failure.name, ()):
        for sample in _SAMPLES:
            text = finder(failure, sample)
            if text is None:
                break
            if len(text) <= LONGEST or sample == _SAMPLES[-1]:
                return cut_end(text, LONGEST)
    return None
