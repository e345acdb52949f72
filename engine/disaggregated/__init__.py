"""The prefill/decode-disaggregated engine: what each process does when the rows of the repaired protocol fire."""
