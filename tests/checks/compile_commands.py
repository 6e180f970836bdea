"""Writes compile_commands.json, which tells editors how each C file is compiled."""

import json
import shutil
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ["-std=c11", "-D_GNU_SOURCE=", "-Icsrc/include"]
FLAGS = {
    "csrc/python": [*CORE, "-Icsrc/python", f"-I{sysconfig.get_path('include')}"],
    "tests": [*CORE, "-Itests/c"],
    "": CORE,
}


def main() -> None:
    compiler = shutil.which("clang") or "cc"
    entries = []
    for path in sorted([*ROOT.glob("csrc/**/*.c"), *ROOT.glob("tests/**/*.c")]):
        file = path.relative_to(ROOT).as_posix()
        flags = next(FLAGS[folder] for folder in FLAGS if file.startswith(folder))
        command = [compiler, *flags, "-c", file]
        entries.append({"directory": str(ROOT), "file": file, "arguments": command})
    text = json.dumps(entries, indent=1)
    (ROOT / "compile_commands.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
