"""What well-known names do: which calls change what they are called on, and which only read it."""

from __future__ import annotations

import builtins


def words(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


BUILTINS = frozenset(dir(builtins))

IMMUTABLE_TYPES = words(
    """
    str bytes int float complex bool NoneType date datetime time timedelta Timestamp Timedelta Decimal Fraction
    range int64 int32 float64 float32 bool_ str_ function
    """
)
"""Types, as descriptions of variables name them, whose objects cannot change."""

DYNAMIC = words(
    """
    exec eval globals locals vars
    """
)
"""Names whose use hides from the reader of code what it reads and writes."""

FRESH_FUNCTIONS = words(
    """
    abs all any ascii bin bool bytes chr complex divmod float format hash hex id int isinstance issubclass len max
    min oct ord pow print range repr round str sum type deepcopy cite
    """
)
"""Functions whose results share nothing with their arguments that could be changed; `min` and `max` of plain values."""

ARGUMENT_MUTATORS = words(
    """
    setattr delattr next heappush heappop heapify heapreplace heappushpop insort insort_left insort_right shuffle
    copyto fill_diagonal put place putmask update_wrapper merge_into exec
    """
)
"""Functions that change what they are given."""

PURE_METHODS = words(
    """
    abs agg aggregate all any apply applymap argmax argmin argsort asfreq assign astype between bfill bool
    capitalize casefold center clip combine_first copy corr count cov cummax cummin cumprod cumsum decode describe
    diff difference dot dropna duplicated elements encode endswith eq equals ewm expandtabs explode factorize ffill
    fillna filter find findall first format fromkeys ge get get_group groupby gt head idxmax idxmin index
    infer_objects info interpolate intersection isalnum isalpha isascii isdecimal isdigit isdisjoint isidentifier
    isin isinstance islower isna isnull isnumeric isprintable isspace issubset issuperset istitle isupper items
    iterrows itertuples join keys kurt last ldf le ljust lower lstrip lt map mask match max mean median melt
    memory_usage merge min mod mode most_common mul ne nlargest notna notnull nsmallest nunique nth partition
    pct_change pipe pivot pivot_table pow prod quantile query rank reindex rename replace resample reset_index
    reshape rfind rindex rjust rolling round rpartition rsplit rstrip sample search select_dtypes sem set_index
    shift size skew sort_index sort_values split splitlines squeeze stack startswith std strftime strip sub subn
    sum swapcase symmetric_difference tail take title to_dict to_frame to_json to_list to_markdown to_numpy
    to_period to_records to_string to_timestamp tolist total total_seconds transform translate transpose truncate
    tz_convert tz_localize unique union unstack upper value_counts values var where xs zfill hexdigest digest group
    groups groupdict span start end date time isoformat weekday timestamp normalize day_name month_name isocalendar
    contains cat len extract extractall fullmatch finditer isclose dumps loads nonzero ravel flatten mean cumcount
    ngroup
    """
)
"""Methods that only read, of texts, tables, mappings and the like; with `inplace=True` they do not."""

VIEW_METHODS = words(
    """
    get items values setdefault pop popitem get_group ravel reshape squeeze __getitem__
    """
)
"""Methods of them that hand out what is inside, so that who changes the result changes the object."""

KNOWN_MUTATORS = words(
    """
    add append appendleft clear discard extend extendleft insert pop popleft popitem remove reverse rotate
    setdefault sort subtract update intersection_update difference_update symmetric_difference_update
    """
)
"""Methods that change the object, and not what they are given."""

FRAME_TYPES = words(
    """
    DataFrame Series Index DatetimeIndex MultiIndex ndarray
    """
)
FRAME_MUTATORS = words(
    """
    insert pop update fill sort resize put itemset setflags partition setfield
    """
)
"""Methods that change tables and arrays even without `inplace=True`."""

FRESH_MODULES = words(
    """
    re json math cmath statistics string datetime time calendar hashlib base64 zlib
    """
)
"""Modules whose functions neither change nor keep what they are given."""

STATES = {
    "random": "<random>",
    "numpy.random": "<random>",
    "matplotlib.pyplot": "<figures>",
    "pylab": "<figures>",
    "seaborn": "<figures>",
    "warnings": "<settings>",
    "locale": "<settings>",
    "decimal": "<settings>",
    "os": "<files>",
    "shutil": "<files>",
    "tempfile": "<files>",
    "pathlib": "<files>",
    "sqlite3": "<files>",
    "subprocess": "<files>",
    "glob": "<files>",
}
"""Modules that have a state of their own, under a name that no variable can have."""

FILE_METHODS = words(
    """
    open connect to_csv to_parquet to_excel to_pickle to_feather to_sql savefig write_text write_bytes mkdir unlink
    read_csv read_parquet read_excel read_pickle read_feather read_table read_sql read_sql_query read_text
    read_bytes touch imsave imread loadtxt savetxt save load extractall writelines
    """
)
DRAWING_METHODS = words(
    """
    plot hist boxplot barh bar scatter area pie kde density hexbin box show
    """
)

CONSUMABLE = words(
    """
    map filter zip iter reversed enumerate open reader DictReader finditer iglob scandir
    """
)
"""Functions whose result is used up by whoever reads it."""

WORDS = words(
    """
    llm_query llm_query_batched llm_query_batch llm_batch batch_llm_query rlm_query rlm_query_batched
    ask_user
    """
)
LOOKS = words("parse_lines other_lines find_lines clean_table join_tables parse_code classify grep chunks")
"""Functions on the data that kernels know: they change nothing, and share nothing with what they are given."""
FINALS = words(
    """
    FINAL FINAL_VAR SUBMIT Final final
    """
)
TARGET_KEYWORDS = words("out file ax axes stream buf into")
"""Keyword arguments that name what a call writes into."""
TEXT_METHODS = words("to_string to_markdown to_html to_latex")
"""Methods whose text depends on settings of the library."""
REDIRECTIONS = words("redirect_stdout redirect_stderr capture_output stdout stderr")
"""Names by which code reads what is printed."""
SHOWING = words(
    """
    print display pprint SHOW_VARS describe peek
    """
)
"""Calls that only show something."""

READ_INTO = ("frame", "sheets", "data", "text", "texts", "loaded")
"""Variables into which small files are read before an agent's first cell."""
