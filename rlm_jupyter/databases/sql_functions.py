"""Which functions queries may call: those that compute, and read nothing but their arguments.

Names, not patterns: what is not here is refused, also what a later version of a database or of `sqlglot` brings. Left
out are functions that read files, settings, the environment or the catalogue, that call the network, sleep, lock,
advance a sequence or run a text as a query.
"""

from __future__ import annotations

KNOWN: frozenset[str] = frozenset(
    """
    Abs Acos Acosh AddMonths And AnyValue ApproxDistinct ApproxQuantile ApproxQuantiles ApproxTopK ArgMax ArgMin
    Array ArrayAgg ArrayAll ArrayAny ArrayAppend ArrayCompact ArrayConcat ArrayConcatAgg ArrayContainedBy
    ArrayContains ArrayContainsAll ArrayDistinct ArrayExcept ArrayFilter ArrayFirst ArrayInsert ArrayIntersect
    ArrayLast ArrayMax ArrayMin ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayRemoveAt ArrayReverse
    ArraySize ArraySlice ArraySort ArraySum ArraysZip ArrayToString ArrayUnionAgg ArrayUniqueAgg Ascii Asin Asinh
    Atan Atan2 Atanh Avg Base64DecodeBinary Base64DecodeString Base64Encode BitLength BitwiseAndAgg BitwiseCount
    BitwiseOrAgg BitwiseXorAgg Booland Boolnot Boolor BoolxorAgg ByteLength Case Cast CastToStrType Cbrt Ceil Chr
    Coalesce CodePointsToString Collate Columns Concat ConcatWs Contains Convert ConvertTimezone Corr Cos Cosh
    CosineDistance Cot Coth Count CountIf CovarPop CovarSamp Csc Csch CumeDist CurrentDate CurrentDatetime
    CurrentTime CurrentTimestamp CurrentTimestampLTZ Date DateAdd DateBin DateDiff DateFromParts DateFromUnixDate
    DateStrToDate DateSub Datetime DatetimeAdd DatetimeDiff DatetimeSub DatetimeTrunc DateToDateStr DateToDi
    DateTrunc Day Dayname DayOfMonth DayOfWeek DayOfWeekIso DayOfYear Decode DecodeCase Degrees DenseRank DiToDate
    DotProduct Elt Encode EndsWith EqualNull EuclideanDistance Exists Exp Explode ExplodingGenerateSeries Extract
    Factorial First FirstValue Flatten Float64 Floor Format FromBase64 GenerateDateArray GenerateSeries
    GenerateTimestampArray Getbit Greatest GroupConcat Grouping GroupingId Hex Hour If Initcap Int64 IsAscii IsInf
    IsNan IsNullValue JarowinklerSimilarity JSONArray JSONArrayAgg JSONArrayContains JSONBContains JSONBExists
    JSONBExtract JSONBExtractScalar JSONBObjectAgg JSONBool JSONBPathExists JSONCast JSONExists JSONExtract
    JSONExtractArray JSONExtractScalar JSONFormat JSONKeys JSONObject JSONObjectAgg JSONStripNulls JSONType
    JSONValueArray JustifyDays JustifyHours JustifyInterval Kurtosis Lag Last LastDay LastValue Lead Least Left
    Length Levenshtein List Ln Localtime Localtimestamp Log LogicalAnd LogicalOr Lower LowerHex MakeInterval
    ManhattanDistance Map MapContainsKey MapFromEntries MapKeys MapSize Max MD5 MD5Digest Median Min Minute Mode
    Month Monthname MonthsBetween Nanvl Negative Normalize NthValue Ntile Nullif NumberToStr Nvl2 Or Overlay Pad
    ParseJSON PercentileCont PercentileDisc PercentRank Pi Pow Quantile Quarter Radians Rand Randn Rank Reduce
    RegexpCount RegexpExtract RegexpExtractAll RegexpFullMatch RegexpILike RegexpInstr RegexpLike RegexpReplace
    RegexpSplit RegexpSubstr RegrAvgx RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy
    RegrValx RegrValy Repeat Replace Reverse Right Rint Round RowNumber SafeDivide Sec Sech Second SHA SHA1Digest
    SHA2 SHA2Digest Sign Sin Sinh Skewness Soundex Space Split SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp
    String StringToArray StrPosition StrToDate Strtok StrtokToArray StrToTime StrToUnix Struct StructExtract Stuff
    Substring SubstringIndex Sum Tan Tanh Time TimeAdd TimeDiff TimeFromParts Timestamp TimestampAdd TimestampDiff
    TimestampFromParts TimestampSub TimestampTrunc TimestampTzFromParts TimeStrToDate TimeStrToTime TimeStrToUnix
    TimeSub TimeToStr TimeToTimeStr TimeToUnix TimeTrunc ToArray ToBase64 ToBinary ToBoolean ToChar ToDays ToDouble
    ToMap ToNumber Transform Translate Trim Trunc Try TryCast TsOrDiToDi TsOrDsAdd TsOrDsDiff TsOrDsToDate
    TsOrDsToDateStr TsOrDsToDatetime TsOrDsToTime TsOrDsToTimestamp Typeof Unhex Unicode UnixDate UnixMicros
    UnixMillis UnixSeconds UnixToStr UnixToTime UnixToTimeStr Unnest Upper UtcDate UtcTime UtcTimestamp Variance
    VariancePop VarMap Week WeekOfYear WidthBucket Xor Year YearOfWeek YearOfWeekIso
    """.split()  # noqa: SIM905 - names to be read, not a program
)
"""Functions that `sqlglot` knows, by the names of its classes."""

NAMED: frozenset[str] = frozenset(
    """
    age any_value arg_max arg_min argmax argmin array_agg array_aggregate array_append array_cat array_length
    array_lower array_ndims array_positions array_replace array_slice array_to_json array_upper array_value avg bar
    bin bit_and bit_count bit_or bit_position bit_xor bitstring bool_and bool_or btrim cardinality ceiling century
    char char_length character_length chr clock_timestamp concat concat_ws contains convert_tz count count_star
    damerau_levenshtein date date_diff date_format date_part date_sub datediff datepart datesub datetime dayname
    dayofmonth dayofweek dayofyear decade div divide editdist3 element_at entropy epoch epoch_ms epoch_ns epoch_us
    era even every exp favg field find_in_set first floor fmod format format_bytes from_base64 from_days
    from_unixtime fsum gamma gcd geomean get_current_time get_current_timestamp glob greatest group_concat hamming
    hash histogram hour ifnull iif ilike_escape inet_aton inet_ntoa initcap instr isempty isfinite isinf isnan
    isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json json_agg json_array json_array_elements
    json_array_elements_text json_array_length json_build_array json_build_object json_contains json_each
    json_each_text json_exists json_extract json_extract_path json_extract_path_text json_extract_string
    json_group_array json_group_object json_group_structure json_keys json_object json_object_agg json_object_keys
    json_quote json_structure json_transform json_tree json_type json_typeof json_unquote json_valid json_value
    jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each jsonb_each_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_pretty
    jsonb_typeof julian julianday kahan_sum kurtosis kurtosis_pop last last_day lcase lcm left_grapheme len
    length_grapheme lgamma like_escape likelihood likely list list_aggr list_aggregate list_any_value list_append
    list_apply list_approx_count_distinct list_avg list_cat list_concat list_contains list_cosine_similarity
    list_count list_distance list_distinct list_element list_entropy list_extract list_filter list_first
    list_grade_up list_has list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect
    list_kurtosis list_last list_mad list_max list_median list_min list_mode list_position list_prepend list_product
    list_reduce list_resize list_reverse list_reverse_sort list_select list_skewness list_slice list_sort
    list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
    list_var_samp list_where list_zip localtime localtimestamp locate log10 log2 lower lower_inc lower_inf ltrim mad
    make_date make_interval make_time make_timestamp make_timestamptz makedate maketime map map_concat map_entries
    map_extract map_from_entries map_keys map_values max max_by md5 microsecond mid millennium millisecond min
    min_by minute mod monthname multiply nextafter nfc_normalize now nullif num_nonnulls num_nulls octet_length ord
    parse_dirname parse_filename parse_path percent_rank period_diff phraseto_tsquery plainto_tsquery pow power
    printf product quantile quantile_cont quantile_disc quarter quote quote_literal quote_nullable random range_agg
    range_merge regexp_count regexp_extract regexp_extract_all regexp_full_match regexp_instr regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
    reservoir_quantile reverse right_grapheme round row row_to_json rtrim scale sec_to_time sem sha224 sha256 sha384
    sha512 sign signbit similarity sinh space split_part sqlite_version sqrt stats std stddev str_split
    str_split_regex strcmp strftime strftime_ms string_agg string_split string_split_regex string_to_array
    string_to_table strip_accents strlen strpos strptime struct_concat struct_extract struct_insert struct_pack
    substr substring_grapheme substring_index subtract sum sum_no_overflow sumkahan tanh time time_to_sec timediff
    timeofday timestamp timetz_byte_comparable timezone to_base64 to_centuries to_char to_date to_days to_decades
    to_hex to_hours to_json to_jsonb to_microseconds to_milliseconds to_minutes to_months to_number to_quarters
    to_seconds to_timestamp to_tsquery to_tsvector to_weeks to_years total transaction_timestamp translate trim
    trim_array trim_scale try_strptime ts_rank ts_rank_cd typeof ucase unaccent unhex unicode unistr unixepoch
    unlikely unpivot_list upper upper_inc upper_inf uuid_extract_timestamp var_pop var_samp variance
    websearch_to_tsquery week weekday weekofyear width_bucket word_similarity xor year year_month yearweek
    """.split()  # noqa: SIM905 - names to be read, not a program
)
"""Functions that `sqlglot` does not know, by their names in a query."""

TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "json_array_elements"}
    | {"json_array_elements_text", "jsonb_array_elements", "jsonb_array_elements_text", "json_each_text"}
    | {"jsonb_each", "jsonb_each_text", "json_object_keys", "jsonb_object_keys", "regexp_split_to_table"}
    | {"string_to_table"}
)
"""Functions that may stand in the place of a table."""
TABLE_CLASSES = frozenset({"GenerateSeries", "ExplodingGenerateSeries", "Unnest", "Explode"})
"""The same, by the names of `sqlglot`'s classes."""

NO_COLUMNS = frozenset(
    {"user", "current_user", "session_user", "system_user", "current_role", "current_catalog"}
    | {"current_schema", "current_database"}
)
"""Names that databases take for functions even without parentheses: what they tell is not the agents' to know."""
