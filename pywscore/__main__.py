"""`python -m pywscore`: the same commands as the `pywscore` console script."""

from pywscore.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
