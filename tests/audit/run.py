"""`make audit`: bandit over what is delivered, and the serving lock against the known vulnerabilities.

Exit 1 if either finds something. A vulnerability service that cannot be reached is said, and is no finding.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

TOOLS: Final = Path(sys.executable).parent
# the rooms and what is passed over there, beside every `nosec`, which has its reason on its line:
# B101: an assert is for the type checker or says what its caller made sure of; ruff's S101 asks for each reason;
# B105: names of reasons (`token_missing`) are taken for passwords;
# B608: SQL is put together from names of our own only, every value is a parameter (in the two rooms that speak SQL)
BANDIT: Final = (
    (("domain", "api", "tenure", "simulator"), "B101,B105"),
    (("store", "projections"), "B101,B105,B608"),
)
LOCK: Final = "requirements.lock"


def bandit() -> bool:
    """Whether bandit finds nothing."""
    clean = True
    for rooms, skipped in BANDIT:
        ran = subprocess.run([str(TOOLS / "bandit"), "-q", "-r", *rooms, "-s", skipped], check=False)
        clean = clean and ran.returncode == 0
    print(f"bandit: {'clean' if clean else 'found something'}")
    return clean


def vulnerabilities() -> bool:
    """Whether no package of the lock is known to be vulnerable, as far as the service could be asked."""
    command = [str(TOOLS / "pip-audit"), "-r", LOCK, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    ran = subprocess.run([*command, "-f", "json", "--timeout", "15"], capture_output=True, text=True, check=False)
    try:
        asked = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit: the vulnerability service is not reachable: {ran.stderr.strip()[-300:]}")
        return True
    unknown = [package["name"] for package in asked if "skip_reason" in package]
    bad = [(package, found) for package in asked for found in package.get("vulns", ())]
    for package, found in bad:
        fixed = ", ".join(found["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {found['id']}, mended in {fixed}")
    if len(unknown) == len(asked):
        print(f"pip-audit: the vulnerability service is not reachable, none of {len(asked)} packages was looked up")
    else:
        print(f"pip-audit: {len(asked) - len(unknown)} packages looked up, {len(bad)} vulnerabilities")
        print("".join(f"  not known to the service: {name}\n" for name in unknown), end="")
    return not bad


def main() -> int:
    """Both, also when the first finds something."""
    return 0 if all([bandit(), vulnerabilities()]) else 1


if __name__ == "__main__":
    sys.exit(main())
