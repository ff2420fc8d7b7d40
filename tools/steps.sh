# Shared by ./up and ./check (plain sh): Debian packages, and steps whose output goes to build/log.
# The caller stands in the top folder.
log_folder=build/log
mkdir -p "$log_folder"
# What compilers and clang-tidy remember stays in build/ too, unless whoever calls wants it elsewhere.
export CAISSON_CACHE="${CAISSON_CACHE:-$PWD/build}"
export CCACHE_DIR="${CCACHE_DIR:-$CAISSON_CACHE/ccache}" CCACHE_BASEDIR="$PWD"

# missing_packages LIST...: names from packages/LIST.txt that are not installed. PACKAGE?COMMAND: only where there is no
# such command, whoever brought it.
missing_packages() {
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' 2>/dev/null | awk '$2 == "ii" { print $1 }')
    for list in "$@"; do
        sed 's/#.*//' "packages/$list.txt"
    done | sort -u | while read -r package; do
        case $package in *\?*)
            ! command -v "${package#*\?}" >/dev/null || continue
            package=${package%\?*} ;;
        esac
        [ -z "$package" ] || printf '%s\n' "$installed" | grep -qxF "$package" || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages are missing and this is not root; run as root: apt-get install $missing" >&2
        return 77
    fi
}

# Servers among the packages are for tests, which start their own: no service starts here.
no_services() {
    services_policy=/usr/sbin/policy-rc.d
    [ ! -e "$services_policy" ] || { "$@"; return; }
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$services_policy && chmod 755 $services_policy" || return
    "$@" && services_status=0 || services_status=$?
    as_root rm -f "$services_policy"
    return "$services_status"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
            -o Dpkg::Use-Pty=0 install $missing
}

# install_packages LIST...: says what is missing and installs that; silent when nothing is.
install_packages() {
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    printf 'These Debian packages are missing and will be installed with apt-get:\n%s\n' "$missing" | fold -s -w 110
    step packages "Debian packages" no_services apt_install
}

# passes and failures of the steps so far.
passed=0
failed=0

# The end of a failed step's log: into the file $step_report, or shown where none is set.
report_failure() {
    if [ -n "${step_report:-}" ]; then
        { printf '%s:\n' "$step_title"; end_of_log; } >>"$step_report"
    else
        end_of_log
    fi
}

end_of_log() {
    tail -n "${step_tail:-40}" "$step_log" | sed 's/^/      | /'
}

# step NAME TITLE COMMAND...: runs it, output to build/log/NAME.log; one line with the time.
step() {
    step_name=$1 step_title=$2
    shift 2
    step_log=$log_folder/$step_name.log
    step_start=$(date +%s%N)
    # A build on a terminal shows its own progress.
    if [ "${step_shows:-no}" = yes ] && [ -t 1 ]; then
        "$@" && step_status=0 || step_status=$?
    else
        "$@" >"$step_log" 2>&1 </dev/null && step_status=0 || step_status=$?
    fi
    step_ms=$((($(date +%s%N) - step_start) / 1000000))
    step_time=$(printf '%4d.%d s' $((step_ms / 1000)) $((step_ms % 1000 / 100)))
    if [ "$step_status" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok    %s  %s\n' "$step_time" "$step_title"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s  %s (exit %s; the whole log: %s)\n' "$step_time" "$step_title" "$step_status" "$step_log"
        [ ! -f "$step_log" ] || report_failure
    fi
    return "$step_status"
}

# build FOLDER PRESET TARGET...: configures once (ninja configures again when it must) and builds.
build() {
    build_folder=$1 build_preset=$2
    shift 2
    [ -f "$build_folder/build.ninja" ] || cmake --preset "$build_preset" || return
    cmake --build "$build_folder" --target "$@"
}
