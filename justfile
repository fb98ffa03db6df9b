# Tests and style: what CI runs
default: test

test *arguments:
    script/test {{ arguments }}

# Formats and mends what can be mended
fix:
    .venv/bin/ruff format .
    .venv/bin/ruff check --fix .

fault:
    script/test tests/fault

up *options:
    script/up {{ options }}

bench *arguments:
    script/bench {{ arguments }}

# Renews generated parts of the documents
docs:
    .venv/bin/python -m docs.generate

# Takes the picture of the page again (needs chromium)
picture:
    .venv/bin/python -m docs.screenshot

# Renews the hash-pinned requirement files (needs uv)
lock:
    script/lock
