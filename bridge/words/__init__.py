"""The words that every floor uses: the model, reasons, errors and targets. They import nothing above themselves."""
