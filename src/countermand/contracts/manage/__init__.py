"""The operator's API, `/manage/v1`: this project's own contract, with problem details for errors."""
