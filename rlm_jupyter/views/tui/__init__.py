"""The viewer of a run in a terminal (`rlm-jupyter log FILE --tui`); needs `textual`, the extra `tui`."""
