"""Chromium for the browser tests: the one in PATH, or the system's package where this machine lets us install it.

`python -m tests.servers.chromium` installs it if it can, and says in one line what it found or why it could not.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT = 600


def find() -> str | None:
    """Return the path of a Chromium in PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> str | None:
    """Install the system's package by name, as root with apt-get; return why that could not be, or None."""
    apt = shutil.which("apt-get")
    if apt is None:
        return "there is no apt-get here; install Chromium yourself"
    if os.geteuid() != 0:
        return "only root can install packages; run apt-get install chromium"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        try:
            subprocess.run(
                [apt, "--quiet", "--quiet", *arguments],
                check=True,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip().splitlines()
            return f"apt-get {arguments[0]} failed: {said[-1] if said else f'exit {error.returncode}'}"
        except subprocess.TimeoutExpired:
            return f"apt-get {arguments[0]} took longer than {TIMEOUT} s"
    return None if find() else "the package chromium put no chromium in PATH"


def main() -> None:
    """Have a Chromium if this machine allows; the tests that need one skip with the reason where it does not."""
    if find() is None:
        print("Installing Chromium for the browser tests.", file=sys.stderr)
        if why := install():
            print(f"No Chromium, so the browser tests will be skipped: {why}.", file=sys.stderr)


if __name__ == "__main__":
    main()
