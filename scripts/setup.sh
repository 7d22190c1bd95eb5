# Sourced by scripts/demo, scripts/test and scripts/bench: brings the machine to where the project runs.
# Each slow step says in one line what it does; a step that was done before is skipped.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/.venv
export PATH="$VENV/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '==> %s\n' "$*" >&2; }
stop() { printf 'uec: %s\n' "$*" >&2; exit 2; }

# The newest Python from 3.11 on that the machine has.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$name"
            return
        fi
    done
    stop "Python 3.11 or newer is needed. On Debian 12: apt-get install python3"
}

# need_packages NAME...: Debian packages, installed when we may, otherwise the one command is printed.
need_packages() {
    local missing=() name
    command -v dpkg-query >/dev/null || return 0
    if [[ " $* " == *" chromium "* ]] && grep -qs '^ID=ubuntu$' /etc/os-release; then
        stop "on Ubuntu Chromium is a snap. Run this once, then start again: sudo snap install chromium"
    fi
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -q '^installed$' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            stop "system packages are missing. Run this once, then start again: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
        fi
    fi
    say "installing system packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq >/dev/null || say "apt-get update failed; trying with the lists at hand"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null \
        || stop "apt-get could not install: ${missing[*]}"
}

# Exact versions from the lock file, with hashes; again only when the lock or the Python changes.
need_venv() {
    local python stamp
    python=$PYTHON
    # What tools are set to in pyproject.toml installs nothing.
    stamp="$("$python" -V) $( (cat requirements.lock && sed '/^\[tool\./,$d' pyproject.toml) | sha256sum)"
    if [ -x "$VENV/bin/python" ] && [ "$(cat "$VENV/.stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "making the virtual environment .venv from requirements.lock (about a minute)"
    "$python" -m venv --clear "$VENV" || stop "python could not make a virtual environment. On Debian: apt-get install python3-venv"
    "$VENV/bin/pip" install -q --require-hashes -r requirements.lock >&2 || stop "pip could not install requirements.lock (see above)"
    "$VENV/bin/pip" install -q --no-deps --no-build-isolation -e . >&2 || stop "pip could not install the project itself (see above)"
    printf '%s' "$stamp" >"$VENV/.stamp"
}

# Node only builds the pages' assets; it comes from a wheel where the machine has none.
need_node() {
    if command -v node >/dev/null && command -v npm >/dev/null \
        && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
        return 0
    fi
    say "installing Node from requirements-node.lock into .venv"
    "$VENV/bin/pip" install -q --require-hashes -r requirements-node.lock >&2 || stop "pip could not install requirements-node.lock"
}

need_assets() {
    local stamp
    stamp=$(find uec/web/assets uec/web/translations scripts/build_assets -type f -not -path '*/node_modules/*' -not -name '*.mo' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    if [ "$(cat uec/web/static/dist/.stamp 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    need_node
    say "building the pages' styles, scripts and translations (npm, exact versions)"
    scripts/build_assets >&2 || stop "the pages' assets could not be built (see above)"
    printf '%s' "$stamp" >uec/web/static/dist/.stamp
}

PACKAGES_RUN=(python3-venv python3-dev gcc libc6-dev libpcsclite-dev swig pcscd vsmartcard-vpcd openssl)
PACKAGES_TEST=(opensc softhsm2 postgresql yubico-piv-tool gnutls-bin libnss3-tools libengine-pkcs11-openssl openssh-client scdaemon)
# Ubuntu has Chromium as a snap only, which apt cannot install by that name; any browser of the family will do.
if ! command -v chromium chromium-browser google-chrome >/dev/null; then PACKAGES_TEST+=(chromium); fi
# A Python that did not come from Debian brings its own venv and headers.
PYTHON=$(find_python) || exit 2
case "$PYTHON" in /usr/bin/*) ;; *) PACKAGES_RUN=("${PACKAGES_RUN[@]:2}") ;; esac
