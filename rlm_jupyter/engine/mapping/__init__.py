"""One question for each row of a table, or for each group of rows."""
