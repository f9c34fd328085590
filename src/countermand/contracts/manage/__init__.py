"""The operator's API, `/manage/v1`: our own contract, with problem details for errors."""
