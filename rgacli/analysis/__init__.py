"""One module per figure of the paper: collect, table, plot."""
