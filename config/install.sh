#!/bin/sh
# Puts guard in place on a machine, and takes it away again. make install and make uninstall call it.
#
#   install.sh install [SOURCE]    SOURCE: guard's folder or its wheel, put into VENV by pip first; without it: what is
#                                  in VENV already
#   install.sh uninstall
#
# Set by the environment:
#   PREFIX   /usr/local     below it: links to the programs, man pages, completion, and the list of all that was put in place
#   VENV     /opt/guard     guard's own virtual environment
#   UNITDIR                 where the units go: lib/systemd/system below a PREFIX of /usr/local or /usr, which systemd
#                           looks through, else /etc/systemd/system
#   DESTDIR                 a folder that stands for /, to make a package of it; nothing is started or stopped then
#   PYTHON   python3        Python 3.11 or later, with venv
#   EXTRAS                  such as apprise
#   PURGE=1                 uninstall: policies, secrets and ledgers too, and what was changed since it was put there
#   FORCE=1                 uninstall: although something of guard's is left in XO, or XO cannot be asked
#
# Nothing is enabled or started. A file that somebody changed, or that is not guard's, is never overwritten: the new one is
# put beside it as NAME.new. Only what is in the list, and is as it was put there, is taken away. Python runs with -I: what is
# in the folder at hand is not imported, and gets no __pycache__.

set -eu
umask 022
export LC_ALL=C

say() { printf 'guard: %s\n' "$*"; }
die() {
    say "$*" >&2
    exit 1
}

: "${DESTDIR=}" "${PREFIX=}" "${VENV=}" "${UNITDIR=}" "${PYTHON=}" "${EXTRAS=}" "${PURGE=}" "${FORCE=}"
PREFIX=${PREFIX:-/usr/local}
VENV=${VENV:-/opt/guard}
PYTHON=${PYTHON:-python3}
if [ -z "$UNITDIR" ]; then
    case $PREFIX in
        /usr | /usr/local) UNITDIR=$PREFIX/lib/systemd/system ;;
        *) UNITDIR=/etc/systemd/system ;;
    esac
fi
ETC=/etc/guard
STATE=/var/lib/guard
list=$DESTDIR$PREFIX/share/guard/installed
tab=$(printf '\t')

check_setting() { # NAME VALUE: these go into units and scripts as they are
    case $2 in
        *[!A-Za-z0-9/._-]* | */../* | */.. | */) die "$1=$2: expected a plain path without spaces, such as /opt/guard" ;;
        /*) ;;
        *) die "$1=$2: expected a path from / on" ;;
    esac
}

check_settings() {
    check_setting PREFIX "$PREFIX"
    check_setting VENV "$VENV"
    check_setting UNITDIR "$UNITDIR"
    [ -z "$DESTDIR" ] || check_setting DESTDIR "$DESTDIR"
    [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "this needs root: sudo make $1"
}

systemd_runs() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

# --- the list: a line for each thing, "kind, value, path" with tabs between. A file's value is its SHA-256, a link's its target.

sum() { sha256sum 2>/dev/null <"$1" | cut -d' ' -f1; }

listed() { # KIND PATH -> its value, nothing where it is not in the list
    [ ! -f "$list" ] || awk -F'\t' -v kind="$1" -v path="$2" '$1 == kind && $3 == path { found = $2 } END { print found }' "$list"
}

note() { # KIND VALUE PATH
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$list"
    printf '%s\n' "$3" >>"$work/now"
}

make_dir() { # PATH, with those above it; the ones that were not there are noted
    missing=
    above=$1
    while [ ! -d "$DESTDIR$above" ]; do
        missing="$above $missing"
        above=$(dirname "$above")
    done
    for one in $missing; do
        mkdir "$DESTDIR$one"
    done
    for one in $missing; do
        note dir - "$one"
    done
}

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

put_file() { # SOURCE PATH: whole or not at all, and in the list only then: a full disk leaves the old one, which is known
    install -m 644 "$1" "$DESTDIR$2.part" || { rm -f "$DESTDIR$2.part"; die "$2 could not be written"; }
    mv -f "$DESTDIR$2.part" "$DESTDIR$2"
    note file "$(sum "$1")" "$2"
}

put() { # SOURCE PATH
    make_dir "$(dirname "$2")"
    new=$(sum "$1")
    before=$(listed file "$2")
    place=$DESTDIR$2
    has=
    [ ! -f "$place" ] || has=$(sum "$place")
    if ! is_there "$place" || { [ -n "$has" ] && [ "$has" = "$before" ] && [ ! -L "$place" ]; }; then
        put_file "$1" "$2"
    elif [ "$has" = "$new" ]; then
        note file "$new" "$2"
    elif [ "$before" = "$new" ]; then # changed by a person, who was told of this one before
        note file "$new" "$2"
        [ -z "$(listed file "$2.new")" ] || note file "$(listed file "$2.new")" "$2.new"
    else
        put_file "$1" "$2.new"
        [ -z "$before" ] || note file "$new" "$2"
        say "kept $2, which is not as it was put there; the new one is beside it: $2.new"
    fi
}

put_link() { # TARGET PATH
    make_dir "$(dirname "$2")"
    place=$DESTDIR$2
    if is_there "$place" && [ "$(readlink "$place")" != "$1" ]; then
        before=$(listed link "$2")
        if [ -z "$before" ] || [ "$(readlink "$place")" != "$before" ]; then
            die "$2 is something else already; move it away first"
        fi
        rm "$place"
    fi
    note link "$1" "$2"
    is_there "$place" || ln -s "$1" "$place"
}

take() { # KIND VALUE PATH: away with it, where it is as it was put there
    place=$DESTDIR$3
    is_there "$place" || return 0
    case $1 in
        file) if [ -f "$place" ] && [ ! -L "$place" ]; then has=$(sum "$place"); else has=; fi ;;
        link) has=$(readlink "$place" || true) ;;
        *) return 0 ;;
    esac
    if [ "$has" = "$2" ] || [ "$PURGE" = 1 ]; then
        rm -f "$place"
    else
        say "kept $3, which was changed since it was put there"
    fi
}

# --- install

runs_pip() { "$1" -I -c 'import pip' 2>/dev/null; }

version_of() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none; }

make_venv() {
    venv=$DESTDIR$VENV
    if [ -e "$venv/pyvenv.cfg" ] && [ "$(version_of "$venv/bin/python")" != "$(version_of "$PYTHON")" ]; then
        [ -n "$(listed venv "$VENV")" ] || die "$VENV was made with another Python; remove it, then again"
        say "$VENV was made with another Python; it is made anew"
        rm -rf "$venv"
    elif [ -e "$venv/pyvenv.cfg" ] && [ -n "$(listed venv "$VENV")" ] && ! runs_pip "$venv/bin/python"; then
        say "$VENV was not made to its end; it is made anew"
        rm -rf "$venv"
    fi
    if [ -e "$venv/pyvenv.cfg" ]; then
        return 0
    fi
    [ -z "$(ls -A "$venv" 2>/dev/null)" ] || die "$VENV is there already and is no virtual environment; name another with VENV="
    make_dir "$(dirname "$VENV")"
    note venv - "$VENV"
    "$PYTHON" -I -m venv "$venv"
}

fill_venv() { # SOURCE
    source=$1
    # pip would take a plain word for the name of somebody's package, and fetch it
    case $source in /*) ;; *) source=${PWD%/}/$source ;; esac
    [ -e "$source" ] || die "$1: expected guard's folder or its wheel"
    "$PYTHON" -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
        || die "$PYTHON: expected Python 3.11 or later with venv (Debian: apt install python3 python3-venv)"
    make_venv
    compile=
    [ -z "$DESTDIR" ] || compile=--no-compile
    # shellcheck disable=SC2086  # nothing, or one option
    "$venv/bin/python" -I -m pip install --quiet --no-cache-dir --disable-pip-version-check --upgrade $compile "$source${EXTRAS:+[$EXTRAS]}"
    [ -z "$DESTDIR" ] || relocate
}

relocate() { # what names DESTDIR in a package would name nothing on the machine it is for
    grep -rlF "$venv" "$venv/bin" "$venv/pyvenv.cfg" | while read -r file; do
        [ -L "$file" ] || sed -i "s|$venv|$VENV|g" "$file"
    done
    "$PYTHON" -I -m compileall -q -s "$DESTDIR" "$venv/lib"
}

put_all() {
    share=$DESTDIR$VENV/share
    [ -d "$share/guard/systemd" ] || die "$VENV holds no guard; name its folder or its wheel: $0 install SOURCE"
    for program in guard guard-workaround-helper; do
        put_link "$VENV/bin/$program" "$PREFIX/bin/$program"
    done
    for page in man1/guard.1 man5/guard.toml.5 man8/guard-workaround-helper.8; do
        put "$share/man/$page" "$PREFIX/share/man/$page"
    done
    for shell in bash-completion/completions/guard zsh/site-functions/_guard fish/vendor_completions.d/guard.fish; do
        put "$share/$shell" "$PREFIX/share/$shell"
    done
    for unit in "$share"/guard/systemd/*; do
        name=$(basename "$unit")
        sed "s|/usr/local/bin/|$PREFIX/bin/|g" "$unit" >"$work/$name"
        put "$work/$name" "$UNITDIR/$name"
        if [ "$UNITDIR" != /etc/systemd/system ] && [ -f "$DESTDIR/etc/systemd/system/$name" ]; then
            say "/etc/systemd/system/$name comes before the one put in place; remove it unless it is meant"
        fi
    done
    put "$share/guard/guard.toml" "$ETC/guard.toml"
}

drop_old() { # what an earlier version put in place, and this one does not; the list has each thing once
    : >"$work/list"
    while IFS=$tab read -r kind value path; do
        if grep -qxF "$path" "$work/now"; then
            continue
        fi
        case $kind in
            dir | venv) printf '%s\t%s\t%s\n' "$kind" "$value" "$path" >>"$work/list" ;;
            *) take "$kind" "$value" "$path" ;;
        esac
    done <"$list"
    awk -F'\t' 'NR == FNR { now[$0]; next } $3 in now { line[$1 FS $3] = $0 } END { for (one in line) print line[one] }' \
        "$work/now" "$list" >>"$work/list"
    sort -u -t "$tab" -k 3 "$work/list" >"$list.new"
    mv "$list.new" "$list"
}

version_there() { "$DESTDIR$VENV/bin/python" -I -c 'import guard; print(guard.__version__)'; }

is_set_up() { # whether a person gave it a token, or a policy of its own
    is_there "$DESTDIR$ETC/xo-token" || [ "$(sum "$DESTDIR$ETC/guard.toml")" != "$(listed file "$ETC/guard.toml")" ]
}

next_steps() { # BEFORE: the version that was there, nothing where there was none
    version=$(version_there)
    case $1 in
        "") say "version $version is in place; nothing was enabled or started." ;;
        "$version") say "version $version was installed again; nothing was enabled or started." ;;
        *) say "upgraded from version $1 to $version; nothing was enabled or started." ;;
    esac
    [ -z "$DESTDIR" ] || return 0
    if is_set_up; then
        if [ -n "$1" ]; then start="restart guard"; else start="enable --now guard"; fi
        say "policy, token and ledger were kept. Next: guard config check, then systemctl $start"
        return 0
    fi
    cat <<EOF
Next, as root:
  1. XO's token, alone in a file:   install -m 600 /dev/stdin $ETC/xo-token
  2. XO's address and that file:    in $ETC/guard.toml, below [xo]: url and token_file
  3. Look:                          guard config check, then guard plan
  4. The service, which makes its folder $STATE itself:   systemctl enable --now guard
Read on: man guard
EOF
}

install_all() { # [SOURCE]
    check_settings install
    version_before=
    [ ! -f "$list" ] || version_before=$(version_there 2>/dev/null) || version_before=
    [ -z "$DESTDIR" ] || mkdir -p "$DESTDIR"
    make_dir_of_list
    if [ -n "${1:-}" ]; then
        fill_venv "$1"
    fi
    put_all
    drop_old
    if systemd_runs; then
        systemctl daemon-reload
    fi
    next_steps "$version_before"
}

make_dir_of_list() {
    mkdir -p "$work/list.d"
    real=$list
    list=$work/list.d/first # no list before there is a folder for it
    make_dir "$(dirname "${real#"$DESTDIR"}")"
    list=$real
    [ ! -f "$work/list.d/first" ] || cat "$work/list.d/first" >>"$list"
    touch "$list"
}

# --- uninstall

units() { # paths of those that were put in place: first what starts others, so that nothing is started again
    for kind in 'timer|socket' service; do
        awk -F'\t' -v kind="[.]($kind)\$" '$1 == "file" && $3 ~ kind { print $3 }' "$list" | sort -u
    done
}

stop_units() {
    systemd_runs || return 0
    for path in $(units); do
        running=$(basename "$path" | sed 's/@\./@*./') # of a template: all its instances
        if ! systemctl --quiet stop "$running" && systemctl --quiet is-active "$running"; then
            die "$running could not be stopped; nothing was removed"
        fi
    done
}

forget_units() {
    if [ -n "$DESTDIR" ] || ! command -v systemctl >/dev/null; then
        return 0
    fi
    for path in $(units); do
        unit=$(basename "$path")
        if grep -q '^\[Install\]' "$path" 2>/dev/null; then
            systemctl --quiet disable "$unit" || say "$unit could not be disabled"
        fi
    done
    if systemd_runs; then
        systemctl --quiet reset-failed 'guard.service' 'guard@*' 'guard-*' 2>/dev/null || true
    fi
}

state_of() { # POLICY -> the ledger's folder: guard.toml is the service's, paris.toml that of guard@paris
    name=$(basename "$1" .toml)
    if [ "$name" = guard ]; then echo "$STATE"; else echo "$STATE-$name"; fi
}

give_back() { # everything that guard has in XO, for each policy
    guard=$PREFIX/bin/guard
    [ -z "$DESTDIR" ] || return 0
    for policy in "$ETC"/*.toml; do
        [ -f "$policy" ] || continue
        state=$(state_of "$policy")
        never_ran=
        if [ ! -d "$state" ]; then
            never_ran=1
            state=$work/none
            mkdir -p "$state"
        fi
        code=0
        if [ -x "$guard" ]; then
            "$guard" release --all --config "$policy" --state "$state" >"$work/told" 2>&1 || code=$?
        else
            code=127
            say "$guard is gone, so it cannot be asked; make install brings it back" >"$work/told"
        fi
        # without a ledger guard wrote nothing to XO; only its file in XO's folder may stand (2)
        if [ "$code" = 0 ] || { [ -n "$never_ran" ] && [ "$code" != 2 ]; }; then
            [ -n "$never_ran" ] || cat "$work/told"
            continue
        fi
        cat "$work/told" >&2
        if [ "$FORCE" = 1 ]; then
            say "taken away all the same, as FORCE=1 says"
            continue
        fi
        say "what guard has in XO could not be given back, for $policy (guard release --all, exit code $code)." >&2
        say "guard is stopped, and nothing was removed. Mend that, or: make uninstall FORCE=1" >&2
        die "XO's own fallbacks, where there are any, still start what is claimed and give it back."
    done
}

purge() {
    for policy in "$DESTDIR$ETC"/*.toml "$DESTDIR$ETC/guard.toml"; do
        state=$DESTDIR$(state_of "$policy")
        rm -rf "$state" "$(dirname "$state")/private/$(basename "$state")"
    done
    rm -rf "$DESTDIR$ETC"
}

venvs() { # those made here, and those to which guard's links lead: VENV may be another one today
    awk -F'\t' '$1 == "venv" { print $3 } $1 == "link" && sub("/bin/guard$", "", $2) { print $2 }' "$list" | sort -u
}

leave_venvs() { # removed where it was made here; where it was there before, guard is taken out of it
    for one in $(venvs); do
        venv=$DESTDIR$one
        [ -e "$venv/pyvenv.cfg" ] || continue
        if [ -n "$(listed venv "$one")" ]; then
            rm -rf "$venv"
        else
            "$venv/bin/python" -I -m pip uninstall --quiet --yes --disable-pip-version-check xo-guard
            say "kept $one, which was there before guard; guard is out of it, its libraries are not"
        fi
    done
}

tell_what_stays() {
    for one in "$ETC" "$STATE" "$STATE"-*; do
        if [ "$one" = "$ETC" ]; then holds="policies, secrets"; else holds="a ledger"; fi
        if is_there "$DESTDIR$one" && [ "$PURGE" = 1 ]; then
            say "kept $one, for which there is no policy: remove it by hand, if it is guard's"
        elif is_there "$DESTDIR$one"; then
            say "kept $one ($holds): make uninstall PURGE=1, or remove it by hand"
        fi
    done
    for one in "$STATE".*; do
        ! is_there "$DESTDIR$one" || say "kept $one, a copy that a person made: remove it by hand"
    done
}

uninstall_all() {
    check_settings uninstall
    if [ -f "$list" ]; then
        stop_units
        give_back
        forget_units
        sort -u "$list" >"$work/list"
        leave_venvs
        while IFS=$tab read -r kind value path; do
            take "$kind" "$value" "$path"
        done <"$work/list"
        rm "$list"
    else
        say "nothing to take away: there is no list $PREFIX/share/guard/installed"
        if [ "$PURGE" = 1 ] && systemd_runs && systemctl --quiet is-active guard.service 'guard@*.service'; then
            die "guard runs, so nothing is purged; was it installed with another PREFIX? Give that one, or stop it first"
        fi
    fi
    [ "$PURGE" != 1 ] || purge
    if [ -f "$work/list" ]; then
        sort -r -t "$tab" -k 3 "$work/list" | while IFS=$tab read -r kind value path; do
            [ "$kind" != dir ] || rmdir "$DESTDIR$path" 2>/dev/null || true
        done
    fi
    if systemd_runs; then
        systemctl daemon-reload
    fi
    tell_what_stays
    say "done. The token in XO is yours to delete: your user, Authentication tokens."
}

main() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    : >"$work/now"
    case ${1:-} in
        install) install_all "${2:-}" ;;
        uninstall) uninstall_all ;;
        *) die "usage: install.sh install [SOURCE] | uninstall" ;;
    esac
    exit 0 # the script may have removed itself; nothing of it is read any more
}

main "$@"
