"""`python -m tests.benchmarks` runs every benchmark, with names only those; `--list` says which there are.

A benchmark is a module beside this one that has a `main()`.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules

import tests.benchmarks

NAMES = [module.name for module in iter_modules(tests.benchmarks.__path__) if not module.name.startswith("_")]


def main(chosen: list[str]) -> None:
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        sys.exit(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in chosen or NAMES:
        module = import_module(f"tests.benchmarks.{name}")
        if hasattr(module, "main"):
            print(f"\n## {name}: {(module.__doc__ or '').partition(chr(10))[0]}", flush=True)
            module.main()


if "--list" in sys.argv:
    print("\n".join(NAMES))
else:
    main(sys.argv[1:])
