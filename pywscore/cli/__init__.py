"""The command line: `pywscore demo | echo | connect URL | bench URL`.

One module per command. Each has `add_parser(subparsers)`, which declares its
options, and `run(options)`, which returns the exit code; `main` joins them.
"""
